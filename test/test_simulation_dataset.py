"""Data sets: the same content whatever the jobs, resumable, and harmless to other files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from any2seg_ros.simulation import layout
from any2seg_ros.simulation.dataset import MANIFEST, Plan, _exclusive, _run, write_bags, write_plans
from any2seg_ros.simulation.recipe import checksums
from any2seg_ros.simulation.settings import EventSettings, SensorSettings
from any2seg_ros.types import Camera

SMALL = SensorSettings(event=EventSettings(width=64, height=36, window=0.02, step=0.02))
PLAN = Plan("val", scenes=2, frames=2, conditions=("night", "rain"), size=(96, 64))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets") / "one"
    assert write_plans(root, [PLAN], SMALL, jobs=1) == 4
    return root


def test_content_does_not_depend_on_the_number_of_jobs(made: Path, tmp_path: Path) -> None:
    write_plans(tmp_path / "two", [PLAN], SMALL, jobs=2)
    assert checksums(made, [PLAN]) == checksums(tmp_path / "two", [PLAN])
    files = [p.relative_to(made) for p in made.rglob("*") if p.is_file()]
    assert len(files) == 4 * 9 + 2 + 1
    for file in files:
        assert (made / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_folders_and_files_are_named_as_in_deliver(made: Path) -> None:
    spec = PLAN.specs()[0]
    assert spec.name == "MAP_1_point1"
    for kind, end in layout.PICTURES.items():
        assert (made / kind / "night" / "val" / spec.name / f"000001_{end}").is_file()


def test_labels_are_raw_ids_in_channel_0(made: Path) -> None:
    file = made / "semantic/night/val/MAP_1_point1/000000_semantic_front.png"
    raw = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert raw.shape == (64, 96, 3) and raw.min() >= 1 and raw.max() <= 25
    assert (raw[..., 0] == raw[..., 2]).all()


def test_calibration_says_what_a_loader_needs(made: Path) -> None:
    text = (made / "raw/rain/val/MAP_1_point2/calibration.json").read_text()
    content = json.loads(text)
    assert list(content["stamps"]) == ["000000", "000001"]
    camera = content["sensors"]["depth"]["camera"]
    camera["distortion"] = tuple(camera["distortion"])
    assert Camera(**camera).width == SMALL.depth.width
    pose = np.array(content["sensors"]["lidar"]["reference_from_sensor"])
    # The LiDAR sees forward along x, the camera along z.
    assert np.allclose(pose[:3, :3] @ [1, 0, 0], [0, 0, 1], atol=1e-6)


def test_only_what_is_missing_is_made_again(made: Path) -> None:
    before = checksums(made, [PLAN])
    spec = PLAN.specs()[1]
    layout.frame_files(made, spec, 1)[3].unlink()
    kept = layout.frame_files(made, spec, 0)[0]
    age = kept.stat().st_mtime_ns
    assert write_plans(made, [PLAN], SMALL) == 1
    assert write_plans(made, [PLAN], SMALL) == 0
    assert kept.stat().st_mtime_ns == age
    assert checksums(made, [PLAN]) == before


def test_a_killed_run_goes_on_and_ends_with_the_same_content(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "killed"
    script = (
        "from pathlib import Path\n"
        "from test_simulation_dataset import PLAN, SMALL\n"
        "from any2seg_ros.simulation.dataset import write_plans\n"
        f"write_plans(Path({str(root)!r}), [PLAN], SMALL)\n"
    )
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, str(Path(here).parent)])}
    child = subprocess.Popen([sys.executable, "-c", script], env=environment)
    for _ in range(6000):
        if list(root.glob("event/**/*.png")) or child.poll() is not None:
            break
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (layout.folder(root, "raw", PLAN.specs()[0]) / ".000001_x.png.1.part").write_text("begun")
    layout.frame_files(root, PLAN.specs()[0], 0)[0].unlink(missing_ok=True)
    write_plans(root, [PLAN], SMALL)
    assert checksums(root, [PLAN]) == checksums(made, [PLAN])
    assert not list(root.rglob("*.part"))


def test_two_runs_do_not_write_to_one_folder(made: Path) -> None:
    layout.frame_files(made, PLAN.specs()[0], 0)[1].unlink()
    with _exclusive(made), pytest.raises(ValueError, match="another run is writing"):
        write_plans(made, [PLAN], SMALL)
    assert write_plans(made, [PLAN], SMALL) == 1


def test_a_worker_that_is_killed_is_one_clear_line() -> None:
    with pytest.raises(OSError, match="the same command resumes"):
        list(_run(_end_this_process, [1, 2, 3], jobs=2))


def _end_this_process(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_a_split_may_grow_but_not_change(made: Path) -> None:
    manifest = (made / MANIFEST).read_text()
    with pytest.raises(ValueError, match="other arguments"):
        write_plans(made, [replace(PLAN, seed=1)], SMALL)
    with pytest.raises(ValueError, match="another sensors"):
        write_plans(made, [PLAN], SensorSettings())
    assert write_plans(made, [replace(PLAN, scenes=1)], SMALL) == 0
    assert (made / MANIFEST).read_text() == manifest


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="choose another folder"):
        write_plans(tmp_path, [PLAN], SMALL)
    with pytest.raises(ValueError, match="choose another folder"):
        write_bags(tmp_path, replace(PLAN, scenes=1), settings=SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_disk_that_is_too_small_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not enough disk space"):
        plan = replace(PLAN, scenes=3000, frames=600, rate=100.0, size=(4096, 4096))
        write_plans(tmp_path / "big", [plan], SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"frames": 0}, "--frames"),
        ({"scenes": 0}, "--scenes"),
        ({"split": "exam"}, "unknown split 'exam'"),
        ({"conditions": ("snow",)}, "unknown condition 'snow'"),
        ({"failures": ("flood",)}, "unknown failure case 'flood'"),
        ({"conditions": ()}, "--conditions is empty"),
        ({"size": (3, 3)}, "--size"),
        ({"seed": -1}, "--seed"),
        ({"rate": 0.0}, "--rate"),
        ({"frames": 1000}, "longer than 60 s"),
    ],
)
def test_an_impossible_plan_is_one_clear_line(change: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named) as error:
        replace(PLAN, **change)
    assert "\n" not in str(error.value)


def test_every_condition_and_every_failure_case_gets_its_turn() -> None:
    specs = Plan("train", scenes=75, frames=1).specs()
    pairs = {(spec.condition, spec.failure) for spec in specs}
    assert len(pairs) == 5 + 25
    assert sum(bool(spec.failure) for spec in specs) == 25


def test_a_single_bag_is_the_folder_itself_and_is_not_made_twice(tmp_path: Path) -> None:
    plan = replace(PLAN, scenes=1, frames=2, rate=10.0)
    counts = []
    assert write_bags(tmp_path / "bag", plan, 5, SMALL, progress=lambda *n: counts.append(n)) == 2
    assert (tmp_path / "bag/bag.mcap").is_file()
    assert counts[-1] == (2, 2)
    assert write_bags(tmp_path / "bag", plan, 5, SMALL) == 0
    made = {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()}
    with pytest.raises(ValueError, match="made with other settings"):
        write_bags(tmp_path / "bag", replace(plan, seed=7), 5, SMALL)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()} == made


def test_a_bag_of_a_drawn_rig_is_known_again(tmp_path: Path) -> None:
    plan = replace(PLAN, scenes=1, frames=1, rate=10.0, rigs=1)
    assert write_bags(tmp_path / "bag", plan) == 1
    assert write_bags(tmp_path / "bag", plan) == 0
