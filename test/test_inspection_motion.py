"""Time offsets between the sensors of a simulated drive whose stamps are shifted."""

from __future__ import annotations

import pytest
import tiny_drive

from any2seg_ros.bags import BagReader, find_layout, read_calibration
from any2seg_ros.bags.file import BagFile
from any2seg_ros.bags.stamps import header_stamp, restamp
from any2seg_ros.inspection import inspect_bag
from any2seg_ros.inspection.motion import time_offsets
from any2seg_ros.inspection.parameter_file import parameters_of
from any2seg_ros.simulation.bag import write_bag
from any2seg_ros.simulation.scene import Scene, SceneSpec
from any2seg_ros.simulation.settings import EventSettings, SensorSettings
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality
SHIFTS = {
    "/depth/image/compressedDepth": -0.04,
    "/lidar/points": 0.08,
    "/event/packets": 0.06,
}


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A bag of 9 s in which all sensors but the camera have a clock of their own."""
    folder = tmp_path_factory.mktemp("drive")
    spec = SceneSpec("val", 0, "cloud", frames=90, rate=10.0, size=(512, 288))
    settings = SensorSettings(event=EventSettings(width=128, height=72))
    write_bag(folder / "true", Scene(spec, settings))
    file = BagFile(folder / "shifted")
    with BagReader(folder / "true") as bag:
        for topic, kind, log_time, data in bag.serialized():
            shift = round(SHIFTS.get(topic, 0.0) * 1e9)
            if shift:
                data = restamp(data, header_stamp(data) + shift)
            file.write(topic, kind, log_time, data)
    file.close()
    return folder / "shifted"


def test_offsets_are_found_to_5_ms_and_told_with_what_to_set(drive):
    found = inspect_bag(drive)
    late = {m: offset.late for m, offset in found.offsets.items() if not offset.unknown}
    assert late == pytest.approx({DEPTH: -0.04, LIDAR: 0.08, EVENT: 0.06}, abs=0.0065)
    said = [f"{problem}: {mend}" for problem, mend in found.problems]
    assert any(
        "the stamps of lidar are" in one and "set lidar.offset to -0.0" in one for one in said
    )
    assert any("the stamps of depth are" in one and "early" in one for one in found.notes)
    assert parameters_of(found)["lidar.offset"] == pytest.approx(-0.08, abs=0.0065)


def test_without_a_camera_others_are_compared(drive):
    with BagReader(drive) as bag:
        layout = find_layout(bag.topics, None, bag.counts)
        calibration = read_calibration(bag, layout)
        sensors = {m: t for m, t in layout.sensors.items() if m != RGB}
        found = time_offsets(bag, sensors, calibration, dict.fromkeys(Modality, 0.1))
        assert set(found) == {DEPTH, EVENT} and found[DEPTH].against == LIDAR
        assert not found[DEPTH].unknown and found[DEPTH].late == pytest.approx(-0.12, abs=0.0065)
        assert "no camera to compare events with" in found[EVENT].unknown
        slow = time_offsets(bag, layout.sensors, calibration, dict.fromkeys(Modality, 0.5))
        assert all("2.0 Hz are too few" in offset.unknown for offset in slow.values())
        assert "no camera is known" in time_offsets(bag, layout.sensors, None, {})[LIDAR].unknown
        calibration.poses.pop(LIDAR)
        found = time_offsets(bag, {RGB: sensors[DEPTH], LIDAR: ""}, calibration, {})
        assert found[LIDAR].unknown == "lidar has no transform"


def test_one_sensor_has_nothing_to_be_compared_with(tmp_path):
    rows = [row for row in tiny_drive.rows(4) if "/rgb" in row[1] or "tf" in row[1]]
    assert inspect_bag(tiny_drive.write(tmp_path / "bag", rows)).offsets == {}


def test_nonsense_cannot_be_told(tmp_path):
    found = inspect_bag(tiny_drive.write(tmp_path / "bag", tiny_drive.rows(50)))
    assert all(offset.unknown for offset in found.offsets.values()), found.offsets
