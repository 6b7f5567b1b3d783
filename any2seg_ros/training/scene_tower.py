"""The image side of a teacher that anyone can make: modality images in the space of MiniLM's texts.

What trains it is `scene_teacher`; `teachers.SceneTeacher` has it beside the texts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.files import clear_parts, part_of
from any2seg_ros.network.checkpoints import differing
from any2seg_ros.network.efficientnet import EfficientNetLite
from any2seg_ros.network.pretrained import read_tensors
from any2seg_ros.types import Modality

KIND = "any2seg_scene_teacher"
"""What config.json in the folder of such a teacher says that it is."""

CONFIG, WEIGHTS = "config.json", "model.safetensors"
DIMENSIONS = 384
"""Of the vectors of all-MiniLM-L6-v2."""

_SPARSE = (Modality.LIDAR, Modality.EVENT)


class SceneTower(nn.Module):
    """An EfficientNet-Lite0 for each modality, its four maps averaged over the image, and a layer.

    size: (width, height) that images are made smaller to.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.encoders = nn.ModuleList(EfficientNetLite() for _ in Modality)
        features = sum(EfficientNetLite().channels)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(features), nn.Linear(features, DIMENSIONS)) for _ in Modality
        )

    def forward(self, modality: Modality, images: Tensor) -> Tensor:
        """Unit vectors (n, 384) of modality images (n, 3, H, W) as networks get them.

        The camera's are normalised. Of LiDAR and events, where most pixels hold nothing, the
        largest value of those that become one is kept, of the others the mean.
        """
        width, height = self.size
        pool = F.adaptive_max_pool2d if modality in _SPARSE else F.adaptive_avg_pool2d
        maps = self.encoders[modality](pool(images, (height, width)))
        pooled = torch.cat([m.mean((2, 3)) for m in maps], 1)
        return F.normalize(self.heads[modality](pooled), dim=1)


def check_free(folder: Path) -> None:
    """ValueError where something else than such a teacher is in the folder that is to be one."""
    if folder.is_dir() and any(folder.iterdir()) and _about(folder).get("kind") != KIND:
        raise ValueError(f"{folder} holds something else than a scene teacher: set another output")


def save(folder: Path, tower: SceneTower, about: Mapping[str, Any]) -> None:
    """Write the folder of a teacher in place of the one that was there; `about` goes into its
    config.json, beside its kind and size. OSError where there is no space."""
    check_free(folder)
    clear_parts(folder)
    tensors = {name: t.detach().cpu().contiguous() for name, t in tower.state_dict().items()}
    words = {"kind": KIND, "image_size": tower.size, "dimensions": DIMENSIONS, **about}
    partial = part_of(folder)
    try:
        partial.mkdir(parents=True)
        save_file(tensors, partial / WEIGHTS)
        (partial / WEIGHTS).chmod(0o644)  # safetensors leaves it to the owner alone
        (partial / CONFIG).write_text(json.dumps(words, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    except SafetensorError as error:
        raise OSError(f"{folder} cannot be written ({error}): make space") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(folder: Path) -> SceneTower:
    """The tower in the folder of a teacher, in evaluation mode.

    FileNotFoundError or ValueError say what is wrong with the folder.
    """
    about = _about(folder)
    if about.get("kind") != KIND:
        raise ValueError(f"{folder} is no scene teacher: its {CONFIG} has no kind {KIND}")
    try:
        width, height = map(int, about["image_size"])
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{folder / CONFIG} has no image_size [width, height]") from None
    tower = SceneTower((width, height))
    weights = read_tensors(folder / WEIGHTS)
    wrong = differing(tower.state_dict(), weights)
    if wrong:
        raise ValueError(
            f"{folder / WEIGHTS} is of another version: {len(wrong)} tensors differ, the first is "
            f"{wrong[0]}: make the teacher again"
        )
    tower.load_state_dict(weights)
    return tower.eval()


def _about(folder: Path) -> dict[str, Any]:
    """What the folder's config.json says; nothing where there is none."""
    try:
        content = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
