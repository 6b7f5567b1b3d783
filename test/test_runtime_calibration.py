"""What is believed of camera_info and transforms, and what changes the geometry of a vehicle."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest

from any2seg_ros.messages import info_fields
from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.runtime.calibration import LOOK_AGAIN, CalibrationTracker, check_plausible
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.types import IDENTITY, Calibration, Camera, InvalidMeasurement, Modality

RGB, DEPTH, LIDAR, EVENT = Modality
SECOND = 1_000_000_000


def camera_info(frame: str, focal: float = 40.0, width: int = 64, height: int = 48):
    fields = info_fields(Camera(width, height, focal, focal, 31.5, 23.5))
    return SimpleNamespace(header=SimpleNamespace(frame_id=frame), **fields)


def nothing(target: str, source: str) -> np.ndarray:
    if target == source:
        return IDENTITY
    raise LookupError("no such frame")


def open_tracker(
    lookup: Callable[[str, str], np.ndarray] = nothing,
    initial: Calibration = Calibration(),  # noqa: B008
    **values,
) -> CalibrationTracker:
    return CalibrationTracker(from_values(values), lookup, initial)


def see(tracker: CalibrationTracker, width: int, height: int, arrival: int = 1) -> None:
    """An image of RGB, as the intake takes it."""
    tracker.on_image_size(RGB, (width, height))
    tracker.locate(RGB, "camera", arrival)


def test_why_the_reference_camera_is_unknown_is_said() -> None:
    tracker = open_tracker()
    with pytest.raises(InvalidMeasurement, match="unknown: no camera_info yet"):
        tracker.locate(LIDAR, "lidar", 1)
    with pytest.raises(InvalidMeasurement):
        tracker.on_camera_info(RGB, camera_info("camera", focal=0.0))
    with pytest.raises(InvalidMeasurement, match="unknown: camera_info is not calibrated"):
        tracker.locate(LIDAR, "lidar", 1)


def test_a_reference_camera_without_a_frame_names_the_parameter() -> None:
    given = {"reference_width": 64, "reference_height": 48, "reference_k": "40 40 31.5 23.5"}
    with pytest.raises(InvalidMeasurement, match="set reference_frame"):
        open_tracker(**given).locate(LIDAR, "lidar", 1)


def test_a_value_that_was_taken_never_changes() -> None:
    tracker = open_tracker()
    before = tracker.current
    tracker.on_camera_info(RGB, camera_info("camera"))
    with_camera = tracker.current
    tracker.on_camera_info(DEPTH, camera_info("depth"))
    tracker.on_image_size(RGB, (64, 48))
    assert before.reference is None and DEPTH not in with_camera.cameras
    assert DEPTH in tracker.current.cameras and not with_camera.image_sizes


def test_what_says_nothing_new_keeps_the_very_value() -> None:
    tracker = open_tracker(lambda target, source: IDENTITY)
    for _ in range(2):
        tracker.on_camera_info(RGB, camera_info("camera"))
        see(tracker, 64, 48)
        tracker.locate(LIDAR, "lidar", 1)
    known = tracker.current
    tracker.on_camera_info(RGB, camera_info("camera"))
    see(tracker, 64, 48, 10 * LOOK_AGAIN)
    tracker.locate(LIDAR, "lidar", 10 * LOOK_AGAIN)
    assert tracker.current is known


def tell(tracker: CalibrationTracker, seconds: float, *infos, start: float = 0.0) -> None:
    """CameraInfos of RGB at 10 Hz for so long, one after another and again."""
    for k in range(round(seconds * 10)):
        arrival = round((start + k * 0.1) * SECOND) + 1
        with suppress(InvalidMeasurement):
            tracker.on_camera_info(RGB, infos[k % len(infos)], arrival)


def test_a_change_of_the_reference_camera_waits_for_others_that_agree(tmp_path) -> None:
    path = tmp_path / "camera.json"
    tracker = open_tracker(reference_file=str(path))
    tracker.on_camera_info(RGB, camera_info("camera"))
    assert tracker.current.reference.width == 64  # the first one at once: LiDAR alone must live
    absurd = [{"width": 7000, "height": 7000, "focal": 5000.0}, {"focal": 400.0}]
    tell(tracker, 5, *(camera_info("nowhere", **one) for one in absurd))
    now = tracker.current
    assert (now.reference.width, now.reference.fx) == (64, 40.0)
    assert now.cameras[RGB] == now.reference and now.reference_frame == "camera"
    assert json.loads(path.read_text())["camera"]["width"] == 64
    other = camera_info("other", width=128, height=96)
    for arrival in range(1000):  # a flood is no proof
        tracker.on_camera_info(RGB, other, 10 * SECOND + arrival)
    assert tracker.current.reference.width == 64
    tell(tracker, 1.5, other, start=10.0)
    assert tracker.current.reference.width == 128 and tracker.current.reference_frame == "other"
    assert json.loads(path.read_text())["camera"]["width"] == 128


@pytest.mark.parametrize("size", [(64, 48), (128, 96)])
def test_images_speak_for_the_camera_of_their_size_and_against_another(size) -> None:
    tracker = open_tracker(**{"rgb.extrinsics": "0 0 0 0 0 0 1"})
    tracker.on_camera_info(RGB, camera_info("camera"))
    see(tracker, 64, 48)
    other = camera_info("camera", width=128, height=96)
    for k in range(20):
        if k < 1 or size == (64, 48):
            tracker.on_camera_info(RGB, other, k * SECOND // 10)
        see(tracker, *size, arrival=k * SECOND // 10 + 1)
    assert tracker.current.reference.width == size[0]


@pytest.mark.parametrize("modality", [RGB, DEPTH, EVENT])
def test_images_do_not_speak_for_another_camera_of_the_known_size(modality, tmp_path) -> None:
    path = tmp_path / "camera.json"
    given = {f"{m.label}.extrinsics": "0 0 0 0 0 0 1" for m in (RGB, DEPTH, EVENT)}
    tracker = open_tracker(reference_file=str(path), **given)
    for one in {RGB, modality}:
        tracker.on_camera_info(one, camera_info("camera"), 1)  # latched: once for all
    tracker.on_camera_info(modality, camera_info("camera", focal=72.0), SECOND)
    for k in range(100):
        tracker.on_image_size(modality, (64, 48))
        tracker.locate(modality, "camera", SECOND + k * SECOND // 10)
    assert tracker.current.cameras[modality].fx == tracker.current.reference.fx == 40.0
    assert json.loads(path.read_text())["camera"]["fx"] == 40.0
    for k in range(3):
        tracker.on_camera_info(modality, camera_info("camera", focal=72.0), (20 + k) * SECOND)
    assert tracker.current.cameras[modality].fx == 72.0


def test_a_camera_that_a_file_tells_gives_way_to_one_that_is_told_once(tmp_path) -> None:
    given = {"reference_file": str(tmp_path / "camera.json"), "rgb.extrinsics": "0 0 0 0 0 0 1"}
    open_tracker(**given).on_camera_info(RGB, camera_info("camera"))
    tracker = open_tracker(**given)
    tracker.on_camera_info(RGB, camera_info("camera", focal=41.0), 1)
    for k in range(20):
        see(tracker, 64, 48, k * SECOND // 10 + 2)
    assert tracker.current.reference.fx == 41.0


@pytest.mark.parametrize(
    "other",
    [
        {"frame": "camera", "width": 128, "height": 96},
        {"frame": "left", "focal": 40.0},
        {"frame": "camera", "focal": 41.0},
    ],
)
@pytest.mark.parametrize("modality", [RGB, DEPTH, EVENT])
def test_cameras_that_alternate_change_nothing_and_the_status_says_so(other, modality) -> None:
    tracker = open_tracker(lambda target, source: IDENTITY)
    for one in (RGB, DEPTH, EVENT):
        tracker.on_camera_info(one, camera_info("camera"), 1)
    known = tracker.current
    for k in range(100):
        told = camera_info(**other) if k % 2 else camera_info("camera")
        tracker.on_camera_info(modality, told, k * SECOND // 10 + 1)
    assert tracker.current is known
    said = tracker.warnings(10 * SECOND)
    if modality == RGB or other["frame"] == "camera":
        assert "last one kept for 10 s" in said[modality]
    assert not tracker.warnings(20 * SECOND)


def test_cameras_that_take_turns_change_the_geometry_ever_more_seldom() -> None:
    tracker = open_tracker()
    changes, last = 0, None
    for k in range(6000):  # ten minutes, two seconds each
        focal = 40.0 if k // 20 % 2 else 50.0
        tracker.on_camera_info(RGB, camera_info("camera", focal=focal), k * SECOND // 10)
        changes += last not in (None, tracker.current.reference)
        last = tracker.current.reference
    assert changes <= 3


def test_a_reference_frame_to_which_the_others_have_no_transform_is_not_believed() -> None:
    def lookup(target: str, source: str) -> np.ndarray:
        if target != "camera":
            raise LookupError("no such frame")
        return IDENTITY

    tracker = open_tracker(lookup)
    tracker.on_camera_info(RGB, camera_info("camera"), 1)
    tracker.locate(LIDAR, "lidar", 1)
    with pytest.raises(InvalidMeasurement, match="another frame, moon, to which lidar has no"):
        tracker.on_camera_info(RGB, camera_info("moon"), SECOND)
    tell(tracker, 10, camera_info("moon"))
    assert tracker.current.reference_frame == "camera"
    tracker.locate(LIDAR, "lidar", 20 * SECOND)


@pytest.mark.parametrize("modality", [RGB, DEPTH, EVENT])
def test_a_sensor_whose_messages_alternate_between_frames_keeps_its_first(modality) -> None:
    tracker = open_tracker(lambda target, source: IDENTITY)
    for one in (RGB, DEPTH, EVENT):
        tracker.on_camera_info(one, camera_info("camera"), 1)
    for k in range(50):
        tracker.locate(modality, "front", k * SECOND // 10)
        with pytest.raises(InvalidMeasurement, match="frame_id is rear, but was front"):
            tracker.locate(modality, "rear", k * SECOND // 10 + 1)
    for k in range(50, 70):
        try:
            tracker.locate(modality, "rear", k * SECOND // 10 + 1)
        except InvalidMeasurement:
            assert k < 62


@pytest.mark.parametrize("strange", ["", "moon"])
def test_a_frame_without_a_transform_never_takes_a_sensor_s_place(strange) -> None:
    def lookup(target: str, source: str) -> np.ndarray:
        if source != "event_camera":
            raise LookupError("no such frame")
        return IDENTITY

    tracker = open_tracker(lookup)
    for one in (RGB, EVENT):
        tracker.on_camera_info(one, camera_info("camera"), 1)
    tracker.locate(EVENT, "event_camera", 1)
    for k in range(100):
        with pytest.raises(InvalidMeasurement, match="has no transform, but was event_camera"):
            tracker.locate(EVENT, strange, k * SECOND // 10)
    tracker.locate(EVENT, "event_camera", 11 * SECOND)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"focal": 2.0}, "wild focal length"),
        ({"focal": 20_000.0}, "wild focal length"),
        ({"d": [-40.0, 0.0, 0.0, 0.0, 0.0]}, "wild distortion"),
        ({"c": 10_000.0}, "wild centre"),
    ],
)
def test_a_calibration_that_no_lens_is_like_is_said_and_changes_nothing(fields, reason) -> None:
    tracker = open_tracker()
    tracker.on_camera_info(RGB, camera_info("camera"), 1)
    wild = camera_info("camera", focal=fields.get("focal", 40.0))
    wild.d = fields.get("d", wild.d)
    wild.k[2] = fields.get("c", wild.k[2])
    for k in range(50):
        with pytest.raises(InvalidMeasurement, match=reason):
            tracker.on_camera_info(RGB, wild, k * SECOND // 10)
    assert tracker.current.reference.fx == 40.0 and not tracker.current.reference.distortion


def test_real_lenses_are_plausible() -> None:
    for camera in (
        Camera(1920, 1080, 1200, 1200, 960, 540, (-0.35, 0.15, 0.001, -0.0005, -0.03)),
        Camera(1280, 800, 350, 350, 640, 400, (0.05, -0.01, 0.003, -0.001), "equidistant"),
        Camera(640, 480, 320, 320, 320, 240, (-0.4, 0.12, 0.0, 0.0, -0.01)),
        Camera(640, 480, 400, 400, 320, 240, (9.4, 4.1, 0.0, 0.0, 0.2, 9.8, 7.5, 1.3),
               "rational_polynomial"),
        Camera(4096, 2160, 40_000, 40_000, 2048, 1080),
    ):  # fmt: skip
        check_plausible(camera)


def test_a_pinned_reference_stays_whatever_the_infos_say(tmp_path) -> None:
    given = {"reference_file": str(tmp_path / "camera.json"), "reference_pinned": True}
    for start in (40.0, 80.0):
        tracker = open_tracker(**given)
        tell(tracker, 5, camera_info("camera" if start == 40.0 else "other", focal=start))
        tell(tracker, 5, camera_info("other", focal=80.0), start=5.0)
        reference = tracker.current
        assert (reference.reference.fx, reference.reference_frame) == (40.0, "camera")
        assert reference.cameras[RGB].fx == 80.0


def test_a_camera_from_parameters_stays_the_reference_whatever_the_infos_say(tmp_path) -> None:
    fixed = {"reference_width": 32, "reference_height": 24, "reference_k": "20 20 15 11"}
    tracker = open_tracker(reference_file=str(tmp_path / "camera.json"), **fixed)
    for _ in range(3):
        tracker.on_camera_info(RGB, camera_info("camera"))
    assert tracker.current.reference.width == 32 and tracker.current.cameras[RGB].width == 64
    assert not list(tmp_path.iterdir())


def test_an_info_without_a_frame_leaves_it_to_the_image(tmp_path) -> None:
    path = str(tmp_path / "camera.json")
    tracker = open_tracker(reference_file=path)
    tracker.on_camera_info(RGB, camera_info(""))
    see(tracker, 64, 48)
    assert tracker.current.reference_frame == "camera"
    tracker.on_camera_info(RGB, camera_info(""))
    assert tracker.current.reference_frame == "camera"
    assert open_tracker(reference_file=path).current.reference_frame == "camera"


def test_a_slash_before_a_frame_is_none_of_its_name() -> None:
    tracker = open_tracker()
    tracker.on_camera_info(RGB, camera_info("/camera"))
    assert tracker.current.reference_frame == "camera"


def test_a_registered_sensor_needs_no_calibration() -> None:
    tracker = open_tracker(**{"depth.registered": True})
    tracker.on_camera_info(DEPTH, camera_info("depth", focal=0.0))
    assert DEPTH not in tracker.current.cameras


@pytest.mark.parametrize("modality", [DEPTH, EVENT])
def test_a_sensor_with_a_lens_of_its_own_waits_for_its_camera_info(modality) -> None:
    tracker = open_tracker(lambda target, source: IDENTITY)
    tracker.on_camera_info(RGB, camera_info("camera"))
    topic = f"{modality.label}/camera_info"
    with pytest.raises(InvalidMeasurement, match=f"no message on {topic} yet"):
        tracker.locate(modality, "sensor", 1)
    tracker.on_camera_info(modality, camera_info("sensor"))
    tracker.locate(modality, "sensor", 1)


class Moving:
    """A lookup whose answer is set from outside."""

    def __init__(self) -> None:
        self.pose: np.ndarray | None = IDENTITY
        self.asked: list[tuple[str, str]] = []

    def __call__(self, target: str, source: str) -> np.ndarray:
        self.asked.append((target, source))
        if self.pose is None:
            raise LookupError("extrapolation into the past")
        return self.pose


def test_a_pose_is_kept_while_transforms_only_tremble() -> None:
    lookup = Moving()
    tracker = open_tracker(lookup)
    tracker.on_camera_info(RGB, camera_info("camera"))

    def pose(x: float, angle: float) -> np.ndarray:
        rotation = (0.0, float(np.sin(angle / 2)), 0.0, float(np.cos(angle / 2)))
        lookup.pose = transform((x, 0.0, 0.0), rotation)
        tracker.forget()
        tracker.locate(LIDAR, "lidar", 1)
        return tracker.current.poses[LIDAR]

    first = pose(1.0, 0.2)
    assert pose(1.0005, 0.20001) is first
    second = pose(1.0, 0.202)
    assert second is not first
    creeping = [pose(1.0 + k * 5e-4, 0.202) for k in range(1, 5)]
    assert creeping[0] is second and abs(creeping[-1][0, 3] - 1.002) < 1e-3


def test_a_pose_is_looked_up_again_after_a_second_and_for_another_frame() -> None:
    lookup = Moving()
    tracker = open_tracker(lookup)
    tracker.on_camera_info(RGB, camera_info("camera"))
    for arrival, frame in ((0, "a"), (LOOK_AGAIN // 2, "a"), (LOOK_AGAIN, "a"), (LOOK_AGAIN, "b")):
        tracker.locate(LIDAR, frame, arrival)
    assert lookup.asked == [("camera", "a"), ("camera", "a"), ("camera", "b")]


def test_without_a_transform_the_sensor_is_refused_and_both_frames_are_named() -> None:
    tracker = open_tracker()
    tracker.on_camera_info(RGB, camera_info("camera"))
    with pytest.raises(InvalidMeasurement, match=r"from lidar to .* frame, camera: .*lidar.extrin"):
        tracker.locate(LIDAR, "lidar", 1)
    tracker.locate(RGB, "camera", 1)  # its own frame needs none


def test_the_last_good_pose_stays_when_transforms_are_lost_but_not_for_another_frame() -> None:
    lookup = Moving()
    tracker = open_tracker(lookup)
    tracker.on_camera_info(RGB, camera_info("camera"))
    tracker.locate(LIDAR, "lidar", 1)
    lookup.pose = None
    tracker.forget()
    tracker.locate(LIDAR, "lidar", 2)
    assert LIDAR in tracker.current.poses
    with pytest.raises(InvalidMeasurement, match="no transform from spare_lidar"):
        tracker.locate(LIDAR, "spare_lidar", 3)


def test_a_pose_that_jumps_has_to_prove_itself_and_the_last_good_one_is_said_to_be_kept() -> None:
    lookup = Moving()
    tracker = open_tracker(lookup)
    tracker.on_camera_info(RGB, camera_info("camera"))
    far, further = (transform((x, 0.0, 0.0), (0, 0, 0, 1)) for x in (5.0, 50.0))

    def look(k: int, pose: np.ndarray | None) -> float:
        lookup.pose = pose
        tracker.locate(LIDAR, "lidar", k * LOOK_AGAIN)
        return tracker.current.poses[LIDAR][0, 3]

    assert look(0, IDENTITY) == 0.0
    assert [look(k, (far, further, IDENTITY)[k % 3]) for k in range(1, 10)] == [0.0] * 9
    assert "pose jumps in TF, last pose kept" in tracker.warnings(9 * LOOK_AGAIN)[LIDAR]
    assert [look(k, None) for k in (10, 11)] == [0.0] * 2
    assert "no transform to camera, last pose kept" in tracker.warnings(11 * LOOK_AGAIN)[LIDAR]
    assert look(12, IDENTITY) == 0.0
    assert [look(k, far) for k in range(20, 24)][-1] == 5.0


def test_what_was_known_before_counts_less_than_parameters() -> None:
    known = Calibration(Camera(8, 8, 9.0, 9.0, 3.5, 3.5), "old", {}, {LIDAR: 2 * np.eye(4)})
    tracker = open_tracker(
        initial=known, reference_frame="new", **{"lidar.extrinsics": "0 0 0 0 0 0 1"}
    )
    assert tracker.current.reference == known.reference
    assert tracker.current.reference_frame == "new"
    assert np.array_equal(tracker.current.poses[LIDAR], np.eye(4))


def rectified_info(turn: np.ndarray = IDENTITY) -> SimpleNamespace:
    msg = camera_info("camera")
    msg.d = [-0.3, 0.1, 0.0, 0.0, 0.0]
    msg.p = [30.0, 0.0, 30.5, 0.0, 0.0, 30.0, 22.5, 0.0, 0.0, 0.0, 1.0, 0.0]
    msg.r = turn[:3, :3].ravel()
    return msg


@pytest.mark.parametrize(
    ("topic", "setting", "focal"),
    [
        ("/cam/image_rect", "auto", 30.0),
        ("/cam/image_raw", "auto", 40.0),
        ("/cam/image_raw", "yes", 30.0),
        ("/cam/image_rect", "no", 40.0),
    ],
)
def test_rectified_images_are_seen_through_p_and_that_is_noted_once(topic, setting, focal) -> None:
    parameters = from_values({"rgb.rectified": setting})
    tracker = CalibrationTracker(parameters, nothing, topics={RGB: topic})
    tracker.on_camera_info(RGB, rectified_info())
    tracker.on_camera_info(RGB, rectified_info())
    reference = tracker.current.reference
    assert reference.fx == focal and bool(reference.distortion) == (focal == 40.0)
    rectified = focal == 30.0
    assert tracker.geometry(RGB) == ("rectified: P, no distortion" if rectified else "raw: K and D")
    assert [f"{topic} is rectified" in note for note in tracker.notes] == [True] * (focal == 30.0)


def test_what_stands_beside_a_rectified_camera_is_turned_with_it() -> None:
    turn = transform((0, 0, 0), (0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    base = transform((1, 2, 3), (0, 0, 0, 1))
    tracker = CalibrationTracker(
        from_values({}), lambda target, source: base, topics={RGB: "/cam/image_rect"}
    )
    tracker.on_camera_info(RGB, rectified_info())
    tracker.locate(LIDAR, "lidar", 1)
    np.testing.assert_allclose(tracker.current.poses[LIDAR], base)
    tell(tracker, 2, rectified_info(turn), start=1.0)
    tracker.locate(LIDAR, "lidar", 2)
    np.testing.assert_allclose(tracker.current.poses[LIDAR], turn @ base, atol=1e-12)
