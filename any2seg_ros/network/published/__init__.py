"""Published networks, known by the keys of their checkpoints, ready for the evaluator and the node.

| network | keys | runs as |
|---|---|---|
| AnySeg, RobustSeg | `encoder.`, `decoder.` | an `Any2Seg`: any engine, any subset |
| CMNeXt | `backbone.extra_*`, `backbone.FRMs`, `decode_head.` | a `WholeNetwork` |
| StitchFusion | `backbone.feature_cross.`, `decode_head.` | a `WholeNetwork` |

Weights are read without executing pickled code; a key that is not used is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from any2seg_ros.network.any2seg import Any2Seg
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.network.pretrained import read_tensors
from any2seg_ros.network.published import cmnext, layout, mean_networks, stitchfusion
from any2seg_ros.network.whole import WholeNetwork
from any2seg_ros.types import Modality, Subset

SIZE = (1024, 1024)
"""(width, height) that they were trained and evaluated at."""
TAXONOMIES = {25: "deliver", 19: "cityscapes"}
"""Class tables by the number of classes: DELIVER's and MUSES'."""
LETTERS = dict(zip("rdel", layout.DELIVER_ORDER, strict=True))


def load(path: Path) -> tuple[Any2Seg | WholeNetwork, Metadata]:
    """The network in evaluation mode, float32, and what is known of it.

    FileNotFoundError or ValueError name the file and what is wrong.
    """
    path = Path(path)
    tensors = layout.without_wrapper(read_tensors(path))
    try:
        network = _network(tensors, named(path.stem))
    except KeyError as error:
        raise ValueError(f"{path} is truncated: it has no key {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    classes = network.decoder.classifier.out_channels  # type: ignore[union-attr]
    if classes not in TAXONOMIES:
        raise ValueError(f"{path} has {classes} classes: only DELIVER's 25 and MUSES' 19 are known")
    about = {"weights": path.name, "published": type(network).__name__}
    return network, Metadata(TAXONOMIES[classes], SIZE, training=about)


def named(stem: str) -> Subset:
    """The modalities that a file's name tells, as `..._rgbdel` or `..._RGBE_57.44`; () if none."""
    found = re.search(r"(?<![a-z])rgb([del]{0,3})(?![a-z])", stem.lower())
    if not found:
        return ()
    return (Modality.RGB, *(LETTERS[letter] for letter in found[1]))


def _network(tensors: Mapping[str, Tensor], told: Subset) -> Any2Seg | WholeNetwork:
    if any(name.startswith(cmnext.MARK) for name in tensors):
        return cmnext.cmnext(tensors, told)
    if any(name.startswith(stitchfusion.MARKS) for name in tensors):
        return stitchfusion.stitchfusion(tensors, told)
    if all(mark in tensors for mark in mean_networks.MARKS):
        return mean_networks.mean_network(tensors)
    first = next(iter(tensors), "none")
    raise ValueError(
        "its keys are of no network that is known (AnySeg, RobustSeg, CMNeXt, StitchFusion), the "
        f"first is {first}"
    )
