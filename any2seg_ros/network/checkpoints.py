"""Any2Seg networks on disk: safetensors, with what is needed to run them in the metadata.

torch is imported where a network is made; what a file says of itself is read without it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from any2seg_ros import taxonomy
from any2seg_ros.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

    from any2seg_ros.network.any2seg import Any2Seg

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

    @property
    def terms(self) -> str:
        """What the weights may be used for, as far as their recipe says."""
        return str(self.training.get("config", {}).get("terms", ""))


def save(path: Path, network: Any2Seg, metadata: Metadata, half: bool = False) -> None:
    """Write a checkpoint, whole or not at all; `half` stores weights in 16 bits.

    Running statistics stay in 32 bits, for a float16 may be too small for a variance.
    """
    from safetensors.torch import save_file

    tensors = {name: _stored(name, t, half) for name, t in network.state_dict().items()}
    words = {
        "format": FORMAT,
        "network": json.dumps(asdict(network.config)),
        **{_ON_DISK.get(k, k): json.dumps(value) for k, value in asdict(metadata).items()},
    }
    try:
        with replacing(path) as part:
            save_file(tensors, part, words)
            part.chmod(0o644)  # safetensors leaves it to the owner alone: a node may be another's
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written ({error}): make space") from None


def load(path: Path) -> tuple[Any2Seg, Metadata]:
    """The network in evaluation mode, float32, and its metadata.

    FileNotFoundError where there is no file, ValueError where it is truncated, another program's
    or holds a number that is not finite; they name the file and the fix.
    """
    from torch import device

    from any2seg_ros.network.any2seg import NetworkConfig
    from any2seg_ros.network.asymmetric import make_network

    path = Path(path)
    header = read_header(path)
    try:
        config = NetworkConfig(**header.network)
        with device("meta"):  # shapes alone: what the header says may be larger than any memory
            expected = make_network(config).state_dict()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _of_another_version(path, error) from None
    tensors = _read(path)
    _check_names(config.encoder, expected, tensors, path)
    network = make_network(config)
    _fill(network, tensors, path)
    return network.eval(), header.metadata


@dataclass(frozen=True)
class Header:
    """What a checkpoint's file says before its weights; `network` has NetworkConfig's fields."""

    network: Mapping[str, Any]
    metadata: Metadata


def read_header(path: Path) -> Header:
    """See `load` for the errors; torch is not needed."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {path}: give the path of a .safetensors file that `any2seg train` wrote"
        )
    with _opened(path, "np") as file:
        words = file.metadata() or {}
    if words.get("format") != FORMAT:
        raise ValueError(
            f"{path} is no Any2Seg checkpoint (format '{words.get('format', 'none')}'): "
            "give a .safetensors file that `any2seg train` wrote"
        )
    try:
        network = json.loads(words["network"])
        if not isinstance(network, dict):
            raise ValueError(f"its network is {network!r}, no mapping")
        return Header(network, _metadata(words))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _of_another_version(path, error) from None


def read_arrays(path: Path, prefix: str) -> dict[str, np.ndarray]:
    """The tensors whose names begin so, float32; all of the file's floats are checked.

    ValueError where one is not finite; torch is not needed.
    """
    found = {}
    for name, array in _arrays(path):
        if not np.isfinite(array).all():
            raise _not_finite(path, name)
        if name.startswith(prefix):
            found[name] = array.astype(np.float32)
    return found


def _arrays(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with _opened(path, "np") as file:
        for name in file.keys():  # noqa: SIM118
            try:
                array = file.get_tensor(name)
            except TypeError:  # bfloat16, which NumPy has not
                with _opened(path, "pt") as other:
                    array = other.get_tensor(name).float().numpy()
            yield name, array


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is truncated or no safetensors file ({error}): fetch or train it again"
        ) from None


def _of_another_version(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path} needs another version of any2seg_ros: {error}")


def _not_finite(path: Path, name: str) -> ValueError:
    return ValueError(
        f"{path} holds NaN or infinity (first in {name}): fetch it again, or train it again with a "
        "lower learning rate"
    )


def _stored(name: str, tensor: Tensor, half: bool) -> Tensor:
    if half and tensor.is_floating_point() and "running_" not in name:
        tensor = tensor.half()
    return tensor.detach().cpu().contiguous()


def _read(path: Path) -> dict[str, Tensor]:
    with _opened(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


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
        if not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"its temperature of {subset} is {value!r}, no number above 0")
    return Metadata(size=(int(width), int(height)), **values)


def differing(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """The names that only one of both has; where there are none, those of other shapes."""
    return sorted(set(expected) ^ set(tensors)) or sorted(
        name for name, tensor in tensors.items() if tensor.shape != expected[name].shape
    )


def _check_names(
    encoder: str, expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> None:
    wrong = differing(expected, tensors)
    if wrong:
        raise ValueError(
            f"{path} does not hold a {encoder} Any2Seg "
            f"({len(wrong)} tensors differ, the first is {wrong[0]}): it is another architecture's"
        )


def _fill(network: Any2Seg, tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in network.state_dict().items():
        if not bool(tensors[name].isfinite().all()):
            raise _not_finite(path, name)
        tensor.copy_(tensors[name])
