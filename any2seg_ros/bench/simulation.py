"""Times the simulator: frame rate, memory, and the cost of a frame in a long run."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SECTION = "simulation"
_SCENES, _FRAMES = 5, 5


def run() -> dict:
    """Render a small data set at 512 x 288 with all sensors, then extend it fivefold.

    frames_per_second: of the extension, one job per core, process start included. peak_memory_mb:
    of the largest process, and an upper bound for all. cost_ratio: CPU time of a few scenes after
    many others against before them, in one process; 1 means no slowdown. steps: CPU ms of a frame.
    """
    from any2seg_ros.simulation.dataset import Plan, write_plans
    from any2seg_ros.simulation.settings import DEFAULTS

    jobs = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "streets"
        small = Plan("train", scenes=_SCENES, frames=_FRAMES)
        large = Plan("train", scenes=5 * _SCENES, frames=_FRAMES)
        first = _seconds(time.perf_counter, lambda: write_plans(root, [small], DEFAULTS, jobs))
        seconds = _seconds(time.perf_counter, lambda: write_plans(root, [large], DEFAULTS, jobs))
        ratio = _cost_ratio(Path(folder))
        made = 4 * _SCENES * _FRAMES
        peaks = [
            resource.getrusage(who).ru_maxrss / 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
    return {
        "jobs": jobs,
        "frames": made,
        "frames_per_second": round(made / seconds, 2),
        "peak_memory_mb": {"process": round(max(peaks)), "all": round(peaks[0] + jobs * peaks[1])},
        "cost_ratio": round(ratio, 2),
        "first_run_seconds": round(first, 1),
        "steps": _steps(),
    }


def _seconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    began = clock()
    work()
    return clock() - began


def _cost_ratio(folder: Path) -> float:
    """CPU time of the same scenes after and before four times as many others."""
    from any2seg_ros.simulation.dataset import Plan, write_plans

    few, many = Plan("val", scenes=_SCENES, frames=2), Plan("test", scenes=4 * _SCENES, frames=2)
    write_plans(folder / "warm", [Plan("val", scenes=1, frames=1)])
    before = _seconds(time.process_time, lambda: write_plans(folder / "before", [few]))
    write_plans(folder / "between", [many])
    return _seconds(time.process_time, lambda: write_plans(folder / "after", [few])) / before


def _steps() -> dict[str, float]:
    """CPU ms of building a town, and of the parts of one sunny frame."""
    import numpy as np

    from any2seg_ros.preprocessing.preprocessor import Preprocessor
    from any2seg_ros.simulation import layout, sensors
    from any2seg_ros.simulation.scene import Scene, SceneSpec

    spec = SceneSpec("train", 0, "sun", frames=2, rate=2.0)
    steps: dict[str, float] = {}

    def step(name: str, work: Callable[[], object]) -> object:
        began = time.process_time()
        result = work()
        steps[name] = round(1000 * (time.process_time() - began), 1)
        return result

    scene = Scene(spec)
    step("town", lambda: Scene(spec))
    scene.capture(0)
    seconds = spec.seconds(1)
    snapshot, base = scene.snapshot(seconds), scene.drive.world_from_base(seconds)
    rng = np.random.default_rng(0)
    step("rgb and labels", lambda: scene._picture(snapshot, seconds, base, rng))
    pose, weather = base @ scene.rig.base_from_depth, scene.weather
    depth = scene.settings.depth
    step(
        "depth",
        lambda: sensors.measure_depth(snapshot, scene.rig.depth, pose, weather, depth, rng),
    )
    step("lidar", lambda: scene._sweep(snapshot, seconds, rng))
    capture = step("capture with events", lambda: scene.capture(1))
    preprocessor = Preprocessor(scene.rig.rgb, spec.size)
    with tempfile.TemporaryDirectory() as folder:
        step("files", lambda: layout.write_capture(Path(folder), scene, 1, capture, preprocessor))  # type: ignore[arg-type]
    return steps
