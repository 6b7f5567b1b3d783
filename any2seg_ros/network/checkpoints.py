"""Any2Seg networks on disk: safetensors, with what is needed to run them in the metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from any2seg_ros import taxonomy
from any2seg_ros.files import replacing
from any2seg_ros.network.any2seg import Any2Seg, NetworkConfig

FORMAT = "any2seg-1"

_ON_DISK = {"preprocessing": "placing"}
"""What fields of `Metadata` are called in files, where it is not as here."""


@dataclass(frozen=True)
class Metadata:
    """What a checkpoint says of itself.

    size: (width, height) in pixels of the modality images that the network was trained on.
    temperatures: what logits are divided by before the softmax, by subset name. preprocessing: the
    `PreprocessingConfig` it was trained with. training: recipe, data, seed, revision.
    """

    taxonomy: str = "deliver"
    size: tuple[int, int] = (256, 144)
    temperatures: Mapping[str, float] = field(default_factory=dict)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] = field(default_factory=dict)
    """Which sensors are to be believed, see `engine.gate`; {}: all are."""


def save(path: Path, network: Any2Seg, metadata: Metadata, half: bool = False) -> None:
    """Write a checkpoint, whole or not at all; `half` stores weights in 16 bits.

    Running statistics stay in 32 bits, for a float16 may be too small for a variance.
    """
    tensors = {name: _stored(name, t, half) for name, t in network.state_dict().items()}
    words = {
        "format": FORMAT,
        "network": json.dumps(asdict(network.config)),
        **{_ON_DISK.get(k, k): json.dumps(value) for k, value in asdict(metadata).items()},
    }
    with replacing(path) as part:
        save_file(tensors, part, words)
        part.chmod(0o644)  # safetensors leaves it to the owner alone: a node may be another user


def load(path: Path) -> tuple[Any2Seg, Metadata]:
    """The network in evaluation mode, float32, and its metadata.

    FileNotFoundError where there is no file, ValueError where it is truncated or another
    program's; both name the file and the fix.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}: give the path of a .safetensors file that `any2seg train` wrote"
        )
    words, tensors = _read(path)
    if words.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no Any2Seg checkpoint (format '{words.get('format', 'none')}'): "
            "give a .safetensors file that `any2seg train` wrote"
        )
    try:
        config = NetworkConfig(**json.loads(words["network"]))
        metadata = _metadata(words)
        network = Any2Seg(config)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path} needs another version of any2seg_ros: {error}") from None
    _fill(network, tensors, path)
    return network.eval(), metadata


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    if half and tensor.is_floating_point() and "running_" not in name:
        tensor = tensor.half()
    return tensor.detach().cpu().contiguous()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or no safetensors file ({error}): fetch or train it again"
        ) from None


def _metadata(words: Mapping[str, str]) -> Metadata:
    names = Metadata.__dataclass_fields__
    values = {name: json.loads(words[_ON_DISK.get(name, name)]) for name in names if name != "gate"}
    values["gate"] = json.loads(words.get("gate", "{}"))  # files from before have none
    width, height = values.pop("size")
    taxonomy.get(values["taxonomy"])
    for name in ("temperatures", "preprocessing", "training", "gate"):
        if not isinstance(values[name], dict):
            raise ValueError(f"its {name} are {values[name]!r}, no mapping")
    for subset, value in values["temperatures"].items():
        if not isinstance(value, (int, float)) or not value > 0:
            raise ValueError(f"its temperature of {subset} is {value!r}, no number above 0")
    return Metadata(size=(int(width), int(height)), **values)


def _fill(network: Any2Seg, tensors: Mapping[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(tensors)) or sorted(
        name for name, tensor in tensors.items() if tensor.shape != expected[name].shape
    )
    if wrong:
        raise ValueError(
            f"{path} does not hold a {network.config.encoder} Any2Seg "
            f"({len(wrong)} tensors differ, the first is {wrong[0]}): it is another architecture's"
        )
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])
