"""How near each modality image is to its scene's description, by a vision-language teacher."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from any2seg_ros.files import checksum, replacing
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.training import teachers
from any2seg_ros.training.augmentation import MEAN, STD
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.cached_dataset import CachedDataset
from any2seg_ros.training.config import LossConfig
from any2seg_ros.types import IGNORE, Modality

TOGETHER = 8
"""Frames that are embedded at once."""


class Scenes:
    """cos(E_m, E_s) of the frames of cached data sets, by frame name.

    Frames are embedded as they are placed, before augmentation, once: the vectors stay beside the
    placed frames, in a file whose name tells the teacher's weights and what it was given. What was
    cut off is gone on with.
    """

    def __init__(
        self,
        config: LossConfig,
        sets: Sequence[CachedDataset],
        taxonomy: Taxonomy,
        placing: PreprocessingConfig,
        device: torch.device | str = "cpu",
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._config = config
        self._taxonomy = taxonomy
        self._placing = placing
        self._device = device
        self._report = report
        self._captions = read_captions(Path(config.captions)) if config.captions else {}
        self._teacher: teachers.ImageTeacher | None = None
        self._key = self._identity()
        self._rows: dict[str, Tensor] = {}
        for placed in sets:
            vectors = torch.from_numpy(np.array(self._vectors(placed)))
            correlations = (vectors[:, :-1] * vectors[:, -1:]).sum(2)
            for name, row in zip(placed.names, correlations, strict=True):
                if name in self._rows:
                    raise ValueError(
                        f"two train sets have a frame {name}: L_cr cannot tell them apart, train "
                        "on one of them or rename its scenes"
                    )
                self._rows[name] = row

    def __call__(self, batch: Batch) -> Tensor:
        """The teacher's correlations float32 (B, M)."""
        return torch.stack([self._rows[name] for name in batch.names]).to(batch.images.device)

    def _identity(self) -> str:
        """A digest of the teacher and of what it is given."""
        config, placing = self._config, self._placing
        told = [
            teachers.fingerprint(config.image_teacher),
            checksum(Path(config.captions)) if config.captions else "",
            config.scene_prompt,
            [placing.range_near, placing.range_far] if config.metric_depth else "pictures",
            self._taxonomy.name,
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def _vectors(self, placed: CachedDataset) -> np.ndarray:
        """Unit vectors float32 (N, M + 1, D): of each modality image, then of the description."""
        path = placed.folder / f"scenes_{self._key}.npy"
        if not path.is_file():
            shape = (len(placed), len(Modality) + 1, self._open().texts(["a road"]).shape[1])
            with replacing(path) as part, part.open("wb") as file:
                np.save(file, np.full(shape, np.nan, np.float32))
        vectors = np.load(path, mmap_mode="r+")
        missing = np.flatnonzero(np.isnan(vectors[:, 0, 0]))
        for start in range(0, len(missing), TOGETHER):
            rows = missing[start : start + TOGETHER]
            vectors[rows] = self._embedded(placed, rows)
            vectors.flush()
            if start % 80 == 0:
                self._report(f"the teacher has seen {start + len(rows)} of {len(missing)} frames")
        return vectors

    def _open(self) -> teachers.ImageTeacher:
        if self._teacher is None:
            self._teacher = teachers.open_image_teacher(self._config.image_teacher, self._device)
        return self._teacher

    def _embedded(self, placed: CachedDataset, rows: np.ndarray) -> np.ndarray:
        teacher = self._open()
        columns = []
        for modality in Modality:
            images = torch.from_numpy(placed.images[rows, modality].astype(np.float32))
            metres = None
            if self._config.metric_depth and modality in (Modality.DEPTH, Modality.LIDAR):
                metres = distances(images, self._placing.range_near, self._placing.range_far)
            if modality == Modality.RGB:
                images = images * torch.from_numpy(STD) + torch.from_numpy(MEAN)
            columns.append(teacher.images(modality, images.clamp(0, 1), metres))
        columns.append(teacher.texts([self._text(placed, int(row)) for row in rows]))
        return torch.stack(columns, 1).float().cpu().numpy()

    def _text(self, placed: CachedDataset, row: int) -> str:
        return self._captions.get(placed.names[row]) or describe(
            placed.labels[row],
            placed.conditions[row],
            placed.class_groups(self._taxonomy),
            self._config.scene_prompt,
        )


def distances(images: Tensor, near: float, far: float) -> Tensor:
    """Metres (n, H, W) that depth or LiDAR images (n, 3, H, W) show by their closeness; 0 for none.

    The inverse of `RangeScale.closeness`: what is farther than `far` is at `far`.
    """
    metres = near * torch.exp((1 - images[:, 0]) * math.log(far / near))
    return metres * (images != 0).any(1)


def read_captions(path: Path) -> dict[str, str]:
    """Scene descriptions by frame name; ValueError for a file that is none."""
    try:
        captions = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): it must map frame names to texts") from None
    if not isinstance(captions, dict):
        raise ValueError(f"{path} must map frame names to texts")
    return captions


def describe(
    label: np.ndarray,
    conditions: Sequence[str],
    groups: ClassGroups,
    prompt: str = LossConfig.scene_prompt,
) -> str:
    """`a street scene at night with road, cars and sky`, the commonest categories first.

    groups: what the values of the label, uint8 (H, W), stand for; one that stands for several
    classes is not spoken of: some of them may not be there.
    """
    alone = groups.members.sum(1) == 1
    pixels = np.bincount(label.reshape(-1), minlength=IGNORE + 1)[: len(groups)]
    counts = (pixels * alone) @ groups.members
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i] > 0]
    names = [teachers.spoken(groups.taxonomy.classes[i]) for i in order]
    weather = {"night": " at night", "sun": " in sunshine", "cloud": " under clouds"}
    where = "".join(weather.get(c, f" with {c}") for c in conditions)
    listed = (
        ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + (names or ["nothing"])[-1]
    )
    return prompt.format(conditions=where, classes=listed)
