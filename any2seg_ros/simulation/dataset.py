"""Data sets of many scenes: the plan, and rendering it in several processes, resumable."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2

from any2seg_ros.files import write_atomically
from any2seg_ros.interrupts import end_with_parent
from any2seg_ros.preprocessing.preprocessor import Preprocessor
from any2seg_ros.simulation import layout
from any2seg_ros.simulation.bag import EASY, Recording, made_from, write_bag
from any2seg_ros.simulation.scene import MANIFEST, SPLITS, VERSION, Scene, SceneSpec
from any2seg_ros.simulation.settings import DEFAULTS, SensorSettings
from any2seg_ros.simulation.weather import CONDITIONS, FAILURES

_CHOOSE_ANOTHER = "choose another folder with --out"


@dataclass(frozen=True)
class Plan:
    """The scenes of one split.

    Scenes cycle through `conditions`; every third cycle has failure cases, taken from `failures`.
    """

    split: str = "train"
    scenes: int = 10
    frames: int = 10
    conditions: tuple[str, ...] = CONDITIONS
    failures: tuple[str, ...] = FAILURES
    rate: float = 2.0
    seed: int = 0
    size: tuple[int, int] = (512, 288)
    rigs: int = 0
    """So many rigs drawn at random take turns, see `rigs`; 0 for the one of the settings."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"unknown split '{self.split}': use one of {', '.join(SPLITS)}")
        if self.scenes < 1 or self.frames < 1:
            raise ValueError("--scenes and --frames must be at least 1")
        if not 0.1 <= self.rate <= 100:
            raise ValueError("--rate must be between 0.1 and 100 Hz")
        if self.frames / self.rate > 60:
            raise ValueError("a scene is longer than 60 s: lower --frames or raise --rate")
        if self.seed < 0:
            raise ValueError("--seed must be 0 or more")
        if self.rigs < 0:
            raise ValueError("--rigs must be 0 or more")
        for known, chosen in ((CONDITIONS, self.conditions), (FAILURES, self.failures)):
            for word in chosen:
                if word not in known:
                    what = "condition" if known is CONDITIONS else "failure case"
                    raise ValueError(f"unknown {what} '{word}': use some of {', '.join(known)}")
        if not self.conditions:
            raise ValueError("--conditions is empty: use some of " + ", ".join(CONDITIONS))
        width, height = self.size
        if not (64 <= width <= 4096 and 48 <= height <= 4096) or width % 2 or height % 2:
            raise ValueError("--size must be even and between 64x48 and 4096x4096")

    def specs(self) -> list[SceneSpec]:
        """The scenes, in order."""
        return [self.spec(index) for index in range(self.scenes)]

    def spec(self, index: int) -> SceneSpec:
        """The scene with number `index`."""
        lap, place = divmod(index, len(self.conditions))
        failure = ""
        if self.failures and lap % 3 == 2:
            failure = self.failures[(lap // 3 + place) % len(self.failures)]
        rig = (lap % self.rigs,) if self.rigs else ()
        spec = SceneSpec(
            self.split,
            index,
            self.conditions[place],
            failure,
            self.frames,
            self.rate,
            self.seed,
            self.size,
            *rig,
        )
        return replace(spec, size=spec.drawn_rig.size) if spec.drawn_rig else spec


def write_plans(
    root: Path,
    plans: Sequence[Plan],
    settings: SensorSettings = DEFAULTS,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Render the missing frames of the plans to `root`; returns the number of frames rendered.

    `progress(done, total)` counts frames. Safe to interrupt at any time; call again to resume.
    ValueError if `root` holds other data, OSError if the disk is too full.
    """
    specs = [spec for plan in plans for spec in plan.specs()]
    total = sum(spec.frames for spec in specs)
    manifest = _manifest(root, plans, settings)
    missing = [(spec, _missing(root, spec)) for spec in specs]
    todo = [(spec, numbers) for spec, numbers in missing if numbers]
    made = sum(len(numbers) for _, numbers in todo)
    _check_space(root, sum(len(numbers) * _bytes(spec, settings) for spec, numbers in todo))
    write_atomically(root / MANIFEST, json.dumps(manifest, indent=1).encode())
    done = total - made
    if progress:
        progress(done, total)
    if not todo:
        return 0
    with _exclusive(root):
        for count in _run(partial(_write_scene, root, settings), todo, jobs):
            done += count
            if progress:
                progress(done, total)
    return made


@contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    """Lock the folder; ValueError if another run holds the lock."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"another run is writing to {root}: wait for it or stop it") from None
    finally:
        os.close(folder)


def write_bags(
    folder: Path,
    plan: Plan,
    first: int = 0,
    settings: SensorSettings = DEFAULTS,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    recording: Recording = EASY,
) -> int:
    """Write one bag per scene of the plan, from scene `first` on, to `<folder>/<split>_<...>`.

    A single bag is `folder` itself. Existing bags are kept; returns the number of frames rendered.
    ValueError if something else is in the way.
    """
    specs = [plan.spec(index) for index in range(first, first + plan.scenes)]
    folders = [folder if len(specs) == 1 else bag_folder(folder, spec) for spec in specs]
    _check_bags(folder, dict(zip(folders, specs, strict=True)), settings, recording)
    todo = [job for job in zip(specs, folders, strict=True) if not job[1].exists()]
    made, total = plan.frames * len(todo), plan.scenes * plan.frames
    _check_space(folder, sum(spec.frames * _bytes(spec, settings) for spec, _ in todo))
    done = total - made
    if progress:
        progress(done, total)
    if len(todo) == 1:
        # In this process, so that progress counts frames instead of bags.
        use_one_thread()
        spec, path = todo[0]
        write_bag(
            path,
            Scene(spec, settings),
            lambda number, _: progress(done + number, total) if progress else None,
            recording,
        )
        return made
    for count in _run(partial(_write_bag, settings, recording), todo, jobs):
        done += count
        if progress:
            progress(done, total)
    return made


def _check_bags(
    folder: Path, bags: Mapping[Path, SceneSpec], settings: SensorSettings, recording: Recording
) -> None:
    """ValueError if a bag's path holds something else, or a bag with other settings."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file, not a folder: {_CHOOSE_ANOTHER}")
    for path, spec in bags.items():
        if not path.exists():
            continue
        if not (path / "metadata.yaml").exists():
            raise ValueError(f"{path} exists and is not a bag: {_CHOOSE_ANOTHER}")
        try:
            found = json.loads((path / MANIFEST).read_text())
        except (OSError, ValueError):
            found = None
        own = spec.drawn_rig.settings if spec.drawn_rig else settings
        if found != made_from(spec, own, recording):
            raise ValueError(f"{path} is a bag made with other settings: {_CHOOSE_ANOTHER}")


def bag_folder(folder: Path, spec: SceneSpec) -> Path:
    """The folder of a scene's bag, if there are several."""
    return folder / f"{spec.split}_{spec.condition}_{spec.name}"


def _write_bag(settings: SensorSettings, recording: Recording, job: tuple[SceneSpec, Path]) -> int:
    spec, path = job
    write_bag(path, Scene(spec, settings), recording=recording)
    return spec.frames


def _manifest(root: Path, plans: Sequence[Plan], settings: SensorSettings) -> dict:
    """The folder's manifest with these plans added; ValueError if it holds other data."""
    file = root / MANIFEST
    sensors = json.loads(json.dumps(asdict(settings)))
    content: dict = {"format": "streets", "version": VERSION, "sensors": sensors, "splits": {}}
    if file.exists():
        try:
            found = json.loads(file.read_text())
        except ValueError:
            raise ValueError(f"{file} is not readable: {_CHOOSE_ANOTHER}") from None
        for key in ("format", "version", "sensors"):
            if found.get(key) != content[key]:
                raise ValueError(f"{root} holds a data set with another {key}: {_CHOOSE_ANOTHER}")
        content = found
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"{root} exists and is not a Streets data set: {_CHOOSE_ANOTHER}")
    for plan in plans:
        wanted = _as_json(plan)
        before = content["splits"].get(plan.split, wanted)
        # A scene does not depend on how many there are, so a split may grow.
        wanted["scenes"] = max(wanted["scenes"], before["scenes"])
        if {**before, "scenes": wanted["scenes"]} != wanted:
            raise ValueError(
                f"{root} has a '{plan.split}' split made with other arguments: {_CHOOSE_ANOTHER}"
            )
        content["splits"][plan.split] = wanted
    return content


def _as_json(plan: Plan) -> dict:
    described = json.loads(json.dumps(asdict(plan)))
    if not plan.rigs:  # as manifests had it before there were any
        del described["rigs"]
    return described


def _missing(root: Path, spec: SceneSpec) -> list[int]:
    if not layout.folder(root, "raw", spec).exists():
        return list(range(spec.frames))
    return [
        number
        for number in range(spec.frames)
        if not all(path.exists() for path in layout.frame_files(root, spec, number))
    ]


def _bytes(spec: SceneSpec, settings: SensorSettings) -> int:
    """Estimated size of a frame on disk."""
    depth, event = settings.depth, settings.event
    pixels = 6 * spec.size[0] * spec.size[1] + 2 * depth.width * depth.height
    return (
        pixels
        + 16 * settings.lidar.beams * settings.lidar.columns
        + 30 * event.width * event.height
    )


def _check_space(root: Path, need: int) -> None:
    existing = next(p for p in (root.absolute(), *root.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < need:
        raise OSError(
            f"not enough disk space for {root}: {need / 1e9:.1f} GB needed, "
            f"{free / 1e9:.1f} GB free"
        )


def use_one_thread() -> None:
    """Limit this process to one thread, so that results do not depend on the number of cores."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)


def _write_scene(root: Path, settings: SensorSettings, job: tuple[SceneSpec, list[int]]) -> int:
    spec, numbers = job
    scene = Scene(spec, settings)
    preprocessor = Preprocessor(scene.rig.rgb, spec.size)
    layout.clear_parts(root, spec)
    layout.write_calibration(root, scene)
    for number in numbers:
        layout.write_capture(root, scene, number, scene.capture(number), preprocessor)
    return len(numbers)


def _init_worker() -> None:
    """Leave Ctrl-C to the parent; end when the parent ends."""
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(os.getppid())


Job = TypeVar("Job")


def _run(work: Callable[[Job], int], todo: list[Job], jobs: int) -> Iterator[int]:
    # Workers inherit the environment, which libraries read when they load.
    use_one_thread()
    if jobs <= 1:
        yield from map(work, todo)
        return
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(jobs, context, initializer=_init_worker) as pool:
        waiting, rest = set(), iter(todo)
        try:
            for job in rest:
                waiting.add(pool.submit(work, job))
                if len(waiting) < jobs * 2:
                    continue
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BrokenProcessPool:
            raise OSError(
                "a worker process was killed, possibly out of memory: use fewer --jobs; "
                "the same command resumes"
            ) from None
        except BaseException:
            # Files are renamed into place when complete: at most the scenes in progress are lost.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
