"""LanguageBind (Zhu et al., ICLR 2024) as transformers' CLIP: one tower from a local folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from any2seg_ros.network.pretrained import read_tensors

if TYPE_CHECKING:
    from transformers import CLIPModel

COMMON = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "layer_norm_eps",
)
TEXT = (*COMMON, "vocab_size", "max_position_embeddings")
VISION = (*COMMON, "patch_size", "num_channels")
"""What shapes a tower; the rest of LanguageBind's configuration is about its training."""
HIGHEST_ID = 2
"""transformers' word for: the text's vector is that of the token with the highest id."""
MAX_DEPTH = 10.0
"""Metres that are shown to the depth tower as 1, unless its configuration says another number."""


def read_tower(folder: Path) -> tuple[CLIPModel, dict[str, Any]]:
    """The model in evaluation mode and the vision part of its configuration.

    LoRA's matrices are merged into the weights that they change. FileNotFoundError or ValueError
    say what is wrong with the folder.
    """
    from transformers import CLIPConfig, CLIPModel

    config = _read_config(folder)
    text, vision = config["text_config"], config["vision_config"]
    if vision.get("add_time_attn"):
        raise ValueError(f"{folder} is a tower of videos: give LanguageBind_Image and _Depth")
    size = side(vision.get("image_size", 224))
    model = CLIPModel(
        CLIPConfig(
            text_config={**_some(text, TEXT), "eos_token_id": HIGHEST_ID},
            vision_config={**_some(vision, VISION), "image_size": size},
            projection_dim=config.get("projection_dim", 512),
        )
    )
    try:
        weights = merged(read_tensors(folder), vision.get("lora_alpha"))
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    wrong = sorted(set(weights) ^ set(model.state_dict()))
    if wrong:
        raise ValueError(
            f"{folder} is no tower of LanguageBind: {len(wrong)} keys differ, the first is "
            f"{wrong[0]}"
        )
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{folder}: {' '.join(str(error).split())}") from None
    return model.eval(), vision


def merged(tensors: Mapping[str, Tensor], alpha: float | None) -> dict[str, Tensor]:
    """CLIP's weights: W + alpha / rank B A for each layer that has LoRA's matrices A (rank, in), B.

    ValueError where there are such, and no alpha. The names of peft, in which the layer's own
    weight is `x.weight` or `x.base_layer.weight`.
    """
    weights: dict[str, Tensor] = {}
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        name = name.replace("base_model.model.", "").replace(".base_layer.", ".")
        lora = re.fullmatch(r"(.+)\.lora_([AB])\.(?:default\.)?weight", name)
        if lora:
            (down if lora[2] == "A" else up)[f"{lora[1]}.weight"] = tensor
        elif not name.endswith("position_ids"):
            weights[name] = tensor
    lonely = set(down) ^ set(up) | (set(down) - set(weights))
    if lonely:
        raise ValueError(f"LoRA's matrices of {min(lonely)} are not complete: fetch the file again")
    if down and alpha is None:
        raise ValueError("it has LoRA's matrices, but its config.json has no lora_alpha")
    for name, matrix in down.items():
        weights[name] = weights[name] + (alpha or 0.0) / len(matrix) * (up[name] @ matrix)
    return weights


def side(size: Any) -> int:
    """The side of square images from a number or a list of two; ValueError for other shapes."""
    sides = set(size) if isinstance(size, (list, tuple)) else {size}
    if len(sides) != 1:
        raise ValueError(f"images of {size}: only square ones are known")
    return int(sides.pop())


def shown_depth(metres: Tensor, max_depth: float) -> Tensor:
    """Depth in metres (n, H, W) as the depth tower was trained to see it: (n, 3, H, W) in 0..1."""
    shown = metres.clamp(0.01, max_depth) / max_depth
    return shown[:, None].expand(-1, 3, -1, -1)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"no config.json in {folder}: fetch the whole folder of the tower")
    config = json.loads(path.read_text())
    if not {"text_config", "vision_config"} <= set(config):
        raise ValueError(f"{path} has no text_config and vision_config: it is no tower's")
    return config


def _some(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: config[name] for name in names if name in config}
