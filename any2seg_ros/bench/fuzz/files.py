"""Mutated files through what reads them: configurations, labels, data sets, bags, weights."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from any2seg_ros import resources
from any2seg_ros.bench.fuzz import samples
from any2seg_ros.bench.fuzz.mutation import Rng, mutated_bytes
from any2seg_ros.bench.fuzz.watching import SLOW_S, Finding, Watch, unexpected

_FRAMES = 20
_BLOCK = 8


@dataclass(frozen=True)
class FileTarget:
    """A valid folder, and what reads it.

    write: makes it. read: reads it. only: endings of the files that are changed.
    """

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path], object]
    only: tuple[str, ...] = ()
    seconds: float = SLOW_S
    """Processor time that is too much."""
    size = _BLOCK

    def run(self, rng: Rng, block: int, watch: Watch, found: Callable[[Finding], None]) -> None:
        """Change one file of the folder a few times, and read it each time."""
        with tempfile.TemporaryDirectory(prefix="any2seg-fuzz-") as place:
            folder = Path(place) / "valid"
            folder.mkdir()
            self.write(folder)
            for index in range(self.size):
                changed = Path(place) / "changed"
                shutil.copytree(folder, changed)
                self._change(changed, rng)
                self._read(changed, block, index, watch, found)
                shutil.rmtree(changed)

    def _change(self, folder: Path, rng: Rng) -> None:
        files = sorted(p for p in folder.rglob("*") if p.is_file())
        if self.only:
            files = [path for path in files if path.suffix in self.only]
        path = files[int(rng.integers(len(files)))]
        if rng.random() < 0.02:
            path.unlink()
        else:
            path.write_bytes(mutated_bytes(path.read_bytes(), rng))

    def _read(
        self, folder: Path, block: int, index: int, watch: Watch, found: Callable[[Finding], None]
    ) -> None:
        def tell(kind: str, what: str) -> None:
            found(Finding(self.name, block, index, kind, what.replace(str(folder), ".")))

        try:
            with (
                watch.timed(lambda text: tell("slow", text), self.seconds),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                self.read(folder)
        except Exception as error:
            if text := unexpected(error):
                tell("exception", text)


def file_targets() -> list[FileTarget]:
    """All kinds of files."""
    return [
        FileTarget("parameters", _shipped("config/any2seg.yaml"), _parameters),
        FileTarget("training", _shipped("config/training/any2seg.yaml"), _training),
        FileTarget("recipe", _shipped("config/simulation_benchmark.yaml"), _recipe),
        FileTarget("label map", _label_map, _read_label_map),
        FileTarget("label images", _labels, _read_data),
        FileTarget("DELIVER folder", _deliver, _read_data),
        FileTarget("Streets folder", lambda folder: _deliver(folder, True), _read_data),
        FileTarget("MUSES folder", _muses, _read_data),
        FileTarget("bag .mcap", lambda folder: _bag(folder, "mcap"), _read_bag),
        FileTarget("bag .db3", lambda folder: _bag(folder, "sqlite3"), _read_bag),
        FileTarget("weights", _weights, _read_weights, seconds=1.0),
        FileTarget("reference camera", _reference, _read_reference),
    ]


def _shipped(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "config.yaml").write_bytes(resources.find(name).read_bytes())

    return write


def _parameters(folder: Path) -> object:
    from any2seg_ros.runtime.parameters import load_parameters

    return load_parameters(folder / "config.yaml")


def _training(folder: Path) -> object:
    from any2seg_ros.training.config import load_config

    return load_config(folder / "config.yaml")


def _recipe(folder: Path) -> object:
    from any2seg_ros.simulation.recipe import load_recipe

    return load_recipe(folder / "config.yaml")


def _label_map(folder: Path) -> None:
    text = "0: Road\n7: Sky\n8: [Cars, Building]\n255: null\n"
    (folder / "labels.yaml").write_text(text)


def _read_label_map(folder: Path) -> object:
    from any2seg_ros.label_maps import read_label_map
    from any2seg_ros.taxonomy import DELIVER

    return read_label_map(folder / "labels.yaml", DELIVER)


def _labels(folder: Path) -> None:
    """Images and labels of anybody's: ids in grey PNGs."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / "images" / f"{number}.jpg"), samples.picture(number))
        ids = samples.picture(number, 1)[..., 0] // 128 * 7
        cv2.imwrite(str(folder / "labels" / f"{number}.png"), ids)
    _label_map(folder)


def _deliver(folder: Path, raw: bool = False) -> None:
    scene = Path("sun") / "train" / "MAP_1_point1"
    for kind, word in (("img", "rgb"), ("hha", "depth"), ("lidar", "lidar"), ("event", "event")):
        (folder / kind / scene).mkdir(parents=True)
        name = folder / kind / scene / f"000000_{word}_front.png"
        cv2.imwrite(str(name), samples.picture(len(kind)))
    (folder / "semantic" / scene).mkdir(parents=True)
    ids = samples.picture(0, 1) // 24 + 1
    path = folder / "semantic" / scene / "000000_semantic_front.png"
    cv2.imwrite(str(path), np.repeat(ids, 3, axis=2))
    if raw:
        _deliver_raw(folder / "raw" / scene)


def _deliver_raw(folder: Path) -> None:
    """Measurements as the simulator writes them, from which images of any size are made."""
    folder.mkdir(parents=True)
    millimetres = samples.picture(1, 1)[..., 0].astype(np.uint16) * 100
    cv2.imwrite(str(folder / "000000_depth_front.png"), millimetres)
    points = np.random.default_rng(0).uniform((2, -5, -2, 0), (30, 5, 3, 1), (200, 4))
    np.save(folder / "000000_lidar_front.npy", points.astype(np.float32))
    n = np.arange(100)
    np.savez(folder / "000000_event_front.npz", t=n * 10**5 + 990_000_000, x=n % 64, y=n % 48,
             p=n % 2 > 0)  # fmt: skip
    camera = {"width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 23.5}
    eye = np.eye(4).tolist()
    sensors: dict[str, dict] = {
        name: {"frame_id": name, "camera": camera, "reference_from_sensor": eye}
        for name in ("rgb", "depth", "event")
    }
    sensors["lidar"] = {"frame_id": "lidar", "camera": None, "reference_from_sensor": eye}
    content = {"stamps": {"000000": 10**9}, "sensors": sensors}
    (folder / "calibration.json").write_text(json.dumps(content))


def _muses(folder: Path) -> None:
    def at(kind: str, ending: str) -> Path:
        place = folder / kind / "train" / "fog" / "night"
        place.mkdir(parents=True)
        return place / f"REC0001_frame_000007_{ending}"

    cv2.imwrite(str(at("frame_camera", "frame_camera.png")), samples.picture(0))
    cv2.imwrite(str(at("gt_semantic", "gt_labelTrainIds.png")), samples.picture(0, 1)[..., 0] // 16)
    np.tile([10.0, 0, 0, 128, 3, 0.5], (40, 1)).tofile(at("lidar", "lidar.bin"))
    lidar = [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
    calibration = {
        "intrinsics": {"rgb": {"K": [[80, 0, 32], [0, 80, 24], [0, 0, 1]]}},
        "extrinsics": {"lidar2rgb": lidar},
    }
    (folder / "calib.json").write_text(json.dumps(calibration))


def _read_data(folder: Path) -> None:
    """Every frame, as far as the images of a network."""
    from any2seg_ros.datasets import Target, open_source
    from any2seg_ros.preprocessing import PreprocessingConfig

    source = open_source(folder, Target((96, 64), PreprocessingConfig()), "train")
    for _ in source.samples(0, 1):
        pass


def _bag(folder: Path, storage: str) -> None:
    """Half a second of four sensors of the demo's drive."""
    from rosbags.rosbag2 import Reader, StoragePlugin, Writer

    from any2seg_ros.bags import typestore

    types = typestore()
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    writer = Writer(folder / "bag", version=9, storage_plugin=plugin)
    with Reader(resources.find("demo_data/streets")) as reader, writer:
        kept = {c.id: writer.add_connection(c.topic, c.msgtype, typestore=types)
                for c in reader.connections}  # fmt: skip
        for connection, time, data in reader.messages(stop=reader.start_time + 250_000_000):
            writer.write(kept[connection.id], time, data)


def _read_bag(folder: Path) -> None:
    from any2seg_ros.preprocessing import PreprocessingConfig
    from any2seg_ros.runtime.bag_player import BagPlayer
    from any2seg_ros.runtime.pipeline import Preparation

    preparation = Preparation((96, 64), PreprocessingConfig())
    player = BagPlayer(folder / "bag", preparation)
    steps: Iterable = islice(player.frames(), _FRAMES)
    for step in steps:
        if step.frame is not None:
            preparation.prepare(step.frame)


def _weights(folder: Path) -> None:
    from any2seg_ros.network import Any2Seg, NetworkConfig
    from any2seg_ros.network.checkpoints import Metadata, save

    save(folder / "tiny.safetensors", Any2Seg(NetworkConfig(width=8)), Metadata(size=(64, 64)))


def _read_weights(folder: Path) -> None:
    from any2seg_ros.network import checkpoints

    checkpoints.load(folder / "tiny.safetensors")


def _reference(folder: Path) -> None:
    from any2seg_ros.runtime.reference_file import ReferenceFile

    file = ReferenceFile(str(folder / "camera.json"))
    file.load()
    file.store(samples.CAMERA, "camera")


def _read_reference(folder: Path) -> None:
    from any2seg_ros.runtime.reference_file import ReferenceFile

    ReferenceFile(str(folder / "camera.json")).load()
