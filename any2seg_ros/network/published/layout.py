"""Published checkpoints by their keys: sizes read from shapes, names renamed, every key used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from any2seg_ros.network.mit import MIT_CONFIGS
from any2seg_ros.network.pretrained import head_weights, original_name
from any2seg_ros.types import Modality, Subset

DELIVER_ORDER: Subset = (Modality.RGB, Modality.DEPTH, Modality.EVENT, Modality.LIDAR)
"""In which networks that were trained on DELIVER take their images."""

Rules = Sequence[tuple[str, str]]
"""Regular expressions at the beginning of a key, and what stands there in our names."""


def without_wrapper(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys without the `module.` of networks that were trained by several processes."""
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def mit_name(tensors: Mapping[str, Tensor], prefix: str) -> str:
    """mit_b0 to mit_b5, by channels and depths; ValueError where it is none of them."""
    channels = tuple(len(tensors[f"{prefix}patch_embed{i}.proj.weight"]) for i in range(1, 5))
    depths = tuple(count(tensors, rf"{re.escape(prefix)}block{i}\.(\d+)\.") for i in range(1, 5))
    for name, config in MIT_CONFIGS.items():
        if (config.channels, config.depths) == (channels, depths):
            return name
    raise ValueError(f"no MiT has channels {channels} and depths {depths}")


def count(names: Iterable[str], pattern: str) -> int:
    """How many numbers the pattern's first group takes among the names."""
    return len({found[1] for name in names if (found := re.match(pattern, name))})


def renamed(tensors: Mapping[str, Tensor], prefix: str, rules: Rules) -> dict[str, Tensor]:
    """What begins with `prefix`, by our names: by the first rule that fits, else as MiT's."""
    result = {}
    for name, tensor in tensors.items():
        if name.startswith(prefix):
            result[_renamed(name.removeprefix(prefix), rules)] = tensor
    return result


def _renamed(name: str, rules: Rules) -> str:
    for pattern, ours in rules:
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", ours, name)
    return original_name(name)


def decoder_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The head at a prefix, by our names."""
    head = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    return {f"decoder.{name}": tensor for name, tensor in head_weights(head).items()}


def elsewhere(tensors: Mapping[str, Tensor], *prefixes: str) -> list[str]:
    """The keys that begin with none of the prefixes."""
    return [name for name in tensors if not name.startswith(prefixes)]


def modalities_of(number: int, named: Subset) -> Subset:
    """Whose images a network of so many modalities takes, in DELIVER's order.

    Keys do not tell which they are: fewer than four are told by the file's name (`..._rgbdl.pth`).
    """
    if number == len(DELIVER_ORDER):
        return DELIVER_ORDER
    if len(named) != number:
        raise ValueError(
            f"it takes {number} modalities, and the file's name does not tell which: rename it as "
            "the authors do, such as ..._rgbd.pth for RGB and depth (r, d, e, l)"
        )
    return tuple(m for m in DELIVER_ORDER if m in named)


def fill(network: nn.Module, weights: Mapping[str, Tensor], unused: Iterable[str]) -> None:
    """Load all of `weights`; ValueError for a key that is missing, of another shape, not finite or
    `unused`."""
    expected = network.state_dict()
    lacking = [n for n in expected if n not in weights and "num_batches_tracked" not in n]
    left = [*unused, *(name for name in weights if name not in expected)]
    if lacking or left:
        told = [f"{len(lacking)} keys are missing, such as {lacking[0]}"] if lacking else []
        told += [f"{len(left)} keys are not used, such as {left[0]}"] if left else []
        raise ValueError(" and ".join(told))
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}, not {tuple(expected[name].shape)}"
            )
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity: fetch the weights again")
    network.load_state_dict({**expected, **weights})
