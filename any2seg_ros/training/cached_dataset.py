"""Preprocessed frames on disk, read back every epoch: faster than preprocessing them again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from any2seg_ros.datasets import LeftOut, Sample, Source, Target
from any2seg_ros.files import checksum, clear_parts, part_of
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.preprocessing.rgb import shrink
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import Camera, Modality

LABEL_SIZE = 2
"""Labels are kept at this many times the size of the modality images."""

CACHE_FORMAT = 2
"""Raise it when preprocessing or the files' layout changes: frames are then preprocessed anew. The
golden images in test/test_training_cached_dataset.py fail where that was forgotten."""

FRAMES_PER_PROCESS = 20
"""Frames for which starting a further process pays off."""

INDEX, IMAGES, LABELS = "index.json", "images.f16", "labels.u8"
PICTURES, WEIGHTS, POINTS = "pictures.u8", "weights.u8", "points.f32"


@dataclass(frozen=True, eq=False)
class Cloud:
    """A LiDAR's points float32 (n, 4), x, y, z, intensity, in its own frame, the pose of that in
    the reference camera's, float64 (4, 4), and the camera, on the raster of the modality images."""

    points: np.ndarray
    pose: np.ndarray
    view: Camera


@dataclass(frozen=True, eq=False)
class CachedFrame:
    """What is kept of a frame, to make views of.

    images float (M, 3, H, W), zero where a modality is not `present`, bool (M,); label uint8
    (2H, 2W). Where there are any: picture, the camera's as uint8 (2H, 2W, 3); weight uint8
    (2H, 2W), 255 where the label is to be trusted wholly; cloud.
    """

    images: np.ndarray
    present: np.ndarray
    label: np.ndarray
    picture: np.ndarray | None = None
    weight: np.ndarray | None = None
    cloud: Cloud | None = None


class CachedDataset:
    """The modality images of a split, in memory-mapped files.

    images float16 (N, M, 3, H, W) in vocabulary order, zero for a missing modality; present bool
    (N, M); labels uint8 (N, 2H, 2W), nearest neighbour, values of `groups`, the class ids of each;
    names and conditions by frame; reasons: counts of why measurements were invalid and frames left
    out; notes: what the source said when it was read. `frame` has more of each: see `CachedFrame`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self._open(folder)
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(
                f"the cached data set in {folder} is damaged ({error}): delete the folder, it is "
                "made again"
            ) from None

    def _open(self, folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text())
        self.names: list[str] = index["names"]
        self.conditions: list[list[str]] = index["conditions"]
        self.reasons: dict[str, int] = index["reasons"]
        self.notes: list[str] = index.get("notes", [])
        self.present = np.array(index["present"], bool)
        count, (width, height) = len(self.names), index["size"]
        shape = (count, len(Modality), 3, height, width)
        self.images = np.memmap(folder / IMAGES, np.float16, "r", shape=shape)
        raster = (count, LABEL_SIZE * height, LABEL_SIZE * width)
        self.labels = np.memmap(folder / LABELS, np.uint8, "r", shape=raster)
        self.groups: list[list[int]] = index["groups"]
        self._pictures = np.memmap(folder / PICTURES, np.uint8, "r", shape=(*raster, 3))
        self._weights = np.memmap(folder / WEIGHTS, np.uint8, "r", shape=raster)
        self._has = np.array(index["has"], bool)
        self._clouds = index["clouds"]
        points = sum(cloud["points"] for cloud in self._clouds if cloud)
        self._points = np.zeros((0, 4), np.float32)
        if points:
            self._points = np.memmap(folder / POINTS, np.float32, "r", shape=(points, 4))

    def class_groups(self, taxonomy: Taxonomy) -> ClassGroups:
        """What the values of the labels stand for."""
        return ClassGroups(taxonomy, tuple(frozenset(group) for group in self.groups))

    def frame(self, index: int) -> CachedFrame:
        """All that is kept of a frame."""
        picture, weight = self._has[index]
        return CachedFrame(
            self.images[index],
            self.present[index],
            np.asarray(self.labels[index]),
            np.asarray(self._pictures[index]) if picture else None,
            np.asarray(self._weights[index]) if weight else None,
            self._cloud(index),
        )

    def _cloud(self, index: int) -> Cloud | None:
        kept = self._clouds[index]
        if kept is None:
            return None
        points = self._points[kept["first"] : kept["first"] + kept["points"]]
        view = Camera(**{**kept["view"], "distortion": tuple(kept["view"]["distortion"])})
        return Cloud(points, np.array(kept["pose"]), view)

    def __len__(self) -> int:
        return len(self.names)


def open_cached(
    source: Source,
    identity: str,
    target: Target,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CachedDataset:
    """The preprocessed frames of `source`, cached in a folder of `cache`; ValueError without any.

    `identity` tells apart data of the same fingerprint. A cache whose writing was interrupted is
    written again; several processes may write it at once.
    """
    key = [CACHE_FORMAT, identity, source.fingerprint, target.size, asdict(target.preprocessing)]
    folder = Path(cache) / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    if not (folder / INDEX).is_file():
        clear_parts(folder)
        partial = part_of(folder)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            _check_space(partial, len(source), target.size)
            _write(source, target.size, partial, progress)
            _move(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return CachedDataset(folder)


def relabelled(
    cached: CachedDataset,
    folder: Path,
    groups: Sequence[Sequence[int]],
    present: np.ndarray,
    labels: Iterable[tuple[np.ndarray, np.ndarray]],
) -> CachedDataset:
    """The frames of a cached data set with other labels, in a folder that links to its images.

    groups: what the values of the labels stand for. present: as the data set's; a frame without a
    sensor is not trained on. labels: label and weight uint8 (2H, 2W) of every frame, in order.
    """
    shutil.rmtree(folder, ignore_errors=True)
    partial = part_of(folder)
    try:
        partial.mkdir(parents=True)
        for name in (IMAGES, PICTURES, POINTS):
            (partial / name).symlink_to((cached.folder / name).resolve())
        with (partial / LABELS).open("wb") as label_file, (partial / WEIGHTS).open("wb") as weights:
            for label, weight in labels:
                label_file.write(np.ascontiguousarray(label).data)
                weights.write(np.ascontiguousarray(weight).data)
        index = json.loads((cached.folder / INDEX).read_text())
        index["groups"] = [list(group) for group in groups]
        index["present"] = np.asarray(present, bool).tolist()
        index["has"] = [[picture, True] for picture, _ in index["has"]]
        (partial / INDEX).write_text(json.dumps(index))
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return CachedDataset(folder)


class CachedSource:
    """A cached data set as a source that is trained on as it is; see `Source`."""

    independent = False
    split: str | None = None

    def __init__(self, folder: Path, taxonomy: Taxonomy) -> None:
        self.cached = CachedDataset(folder)
        self.name = str(folder)
        self.notes: list[str] = []
        self.taxonomy = taxonomy
        self.groups = self.cached.class_groups(taxonomy)
        self.modalities = tuple(m for m in Modality if self.cached.present[:, m].any())
        parts = [checksum(folder / name) for name in (INDEX, LABELS, WEIGHTS)]
        self.fingerprint = hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.cached)

    def samples(self, rank: int, world: int) -> Iterator[Sample | LeftOut]:
        """Nothing: the frames are cached already."""
        raise ValueError(f"{self.name} is cached already")


def is_cached(folder: Path) -> bool:
    """Whether a folder is a cached data set."""
    return (folder / INDEX).is_file() and (folder / IMAGES).is_file()


def _check_space(folder: Path, frames: int, size: tuple[int, int]) -> None:
    """ValueError where the cached data set does not fit on the disk."""
    pixels = size[0] * size[1]
    needed = frames * pixels * (len(Modality) * 3 * 2 + 5 * LABEL_SIZE**2)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{frames} cached frames need {needed / 1e9:.1f} GB, {folder.parent} has "
            f"{free / 1e9:.1f} GB left: make room there, or set data.cache to a larger disk"
        )


@dataclass(frozen=True, eq=False)
class _Stored:
    """A sample as it is kept; see `CachedDataset`."""

    name: str
    conditions: list[str]
    images: np.ndarray
    label: np.ndarray
    present: list[bool]
    reasons: list[str]
    picture: np.ndarray
    weight: np.ndarray
    has: tuple[bool, bool]
    cloud: Cloud | None


class _Samples(IterableDataset):
    """The samples of a source, each DataLoader worker its share; see `raising_errors`."""

    def __init__(self, source: Source, size: tuple[int, int]) -> None:
        self._source = source
        self._size = size

    def __iter__(self) -> Iterator[_Stored | LeftOut | Exception]:
        worker = get_worker_info()
        rank, world = (worker.id, worker.num_workers) if worker else (0, 1)
        try:
            for sample in self._source.samples(rank, world):
                yield sample if isinstance(sample, LeftOut) else _stored(sample, self._size)
        except (ValueError, OSError) as error:
            yield error


def _stored(sample: Sample, size: tuple[int, int]) -> _Stored:
    width, height = size
    images = np.zeros((len(Modality), 3, height, width), np.float16)
    for modality, image in sample.images.items():
        images[modality] = image
    raster = (LABEL_SIZE * width, LABEL_SIZE * height)
    label = cv2.resize(sample.label, raster, interpolation=cv2.INTER_NEAREST)
    weight, picture = np.zeros(raster[::-1], np.uint8), np.zeros((*raster[::-1], 3), np.uint8)
    if sample.weight is not None:
        weight = cv2.resize(sample.weight, raster, interpolation=cv2.INTER_NEAREST)
    if sample.aligned_picture is not None:
        picture = shrink(sample.aligned_picture, *raster)
    return _Stored(
        sample.name,
        list(sample.conditions),
        images,
        np.ascontiguousarray(label),
        [m in sample.images for m in Modality],
        [f"{m.label}: {reason}" for m, reason in sample.reasons.items()],
        np.ascontiguousarray(picture),
        np.ascontiguousarray(weight),
        (sample.aligned_picture is not None, sample.weight is not None),
        _cloud(sample, size),
    )


def _cloud(sample: Sample, size: tuple[int, int]) -> Cloud | None:
    """The sample's cloud, if it is one of points and seen by the camera."""
    measured, reference = sample.cloud, sample.reference
    if measured is None or reference is None or Modality.LIDAR not in sample.images:
        return None
    points = measured.data
    if not isinstance(points, np.ndarray) or points.ndim != 2:
        return None
    ahead = (
        points[:, :3] @ measured.reference_from_sensor[2, :3] + measured.reference_from_sensor[2, 3]
    )
    kept = points[(ahead > 0) & np.isfinite(points).all(1)]
    return Cloud(kept.astype(np.float32), measured.reference_from_sensor, reference.resized(*size))


def _samples(source: Source, size: tuple[int, int]) -> DataLoader:
    """The samples of a source in order, loaded by as many processes as there are cores."""
    jobs = min(len(os.sched_getaffinity(0)), len(source) // FRAMES_PER_PROCESS)
    workers = jobs if source.independent and jobs > 1 else 0
    return DataLoader(
        _Samples(source, size),
        None,
        num_workers=workers,
        collate_fn=_unchanged,
        multiprocessing_context="fork" if workers else None,
    )


def raising_errors(items: Iterable[Any]) -> Iterator[Any]:
    """The items of a DataLoader; errors that its workers yielded as items are raised here.

    Raised by a worker they would carry its traceback in their text.
    """
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


def _unchanged(sample: Any) -> Any:
    return sample


def _write(
    source: Source, size: tuple[int, int], folder: Path, progress: Callable[[int, int], None]
) -> None:
    names, conditions, present, has, clouds = [], [], [], [], []
    reasons: Counter[str] = Counter()
    points = 0
    with ExitStack() as files:
        images, labels, pictures, weights, cloud_points = (
            files.enter_context((folder / name).open("wb"))
            for name in (IMAGES, LABELS, PICTURES, WEIGHTS, POINTS)
        )
        for sample in raising_errors(_samples(source, size)):
            if isinstance(sample, LeftOut):
                reasons[f"frame left out: {sample.reason}"] += 1
                continue
            images.write(sample.images.data)
            labels.write(sample.label.data)
            pictures.write(sample.picture.data)
            weights.write(sample.weight.data)
            has.append(sample.has)
            clouds.append(_described(sample.cloud, points))
            if sample.cloud is not None:
                cloud_points.write(np.ascontiguousarray(sample.cloud.points).data)
                points += len(sample.cloud.points)
            reasons.update(sample.reasons)
            names.append(sample.name)
            conditions.append(sample.conditions)
            present.append(sample.present)
            progress(len(names), max(len(source), len(names)))
    if not names:
        raise ValueError(f"{source.name} has no frame with a label: training needs ground truth")
    index = {
        "size": size,
        "names": names,
        "conditions": conditions,
        "present": present,
        "reasons": reasons,
        "notes": source.notes,
        "groups": [sorted(group) for group in source.groups.groups],
        "has": has,
        "clouds": clouds,
    }
    (folder / INDEX).write_text(json.dumps(index))


def _described(cloud: Cloud | None, first: int) -> dict[str, Any] | None:
    """What the index says of a cloud whose points follow `first` others."""
    if cloud is None:
        return None
    pose, view = cloud.pose.tolist(), asdict(cloud.view)
    return {"first": first, "points": len(cloud.points), "pose": pose, "view": view}


def _move(partial: Path, folder: Path) -> None:
    try:
        os.replace(partial, folder)
    except OSError:
        if (folder / INDEX).is_file():  # another process was first
            return
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
