"""AnySeg (Zheng et al., arXiv 2411.17141) and RobustSeg (RMMSS, CVPR 2026): one MiT for all
modalities, the mean of its maps, all-MLP decoder. They are Any2Segs with `fusion: mean`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from any2seg_ros.network.any2seg import Any2Seg, NetworkConfig
from any2seg_ros.network.published import layout

MARKS = ("encoder.patch_embed1.proj.weight", "decoder.linear_fuse.conv.weight")
"""Keys that these networks have, and no others have both."""
UNUSED = "classifier.weight"
"""A class activation map's layer, which is trained with nothing and used for nothing."""
NORM_EPS = 1e-6


def mean_network(tensors: Mapping[str, Tensor]) -> Any2Seg:
    """The network of a checkpoint.

    Our mean is twice the mean, as MFF's sum is: the decoder's first matrices are half as large.
    """
    inputs = tensors[MARKS[0]].shape[1]
    if inputs != 3:
        raise ValueError(
            f"its encoder takes images of {inputs} channels: it is a teacher that sees all "
            "modalities stacked, and cannot leave one out; give the student's weights"
        )
    head = tensors["decoder.linear_pred.weight"]
    config = NetworkConfig(
        layout.mit_name(tensors, "encoder."),
        classes=len(head),
        width=head.shape[1],
        fusion="mean",
        norm_eps=NORM_EPS,
    )
    network = Any2Seg(config)
    encoder = layout.renamed(tensors, "encoder.", ())
    weights = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    weights |= layout.decoder_of(tensors, "decoder.")
    for scale in range(4):
        weights[f"decoder.linear.{scale}.weight"] = weights[f"decoder.linear.{scale}.weight"] / 2
    unused = layout.elsewhere(tensors, "encoder.", "decoder.")
    layout.fill(network, weights, [name for name in unused if name != UNUSED])
    return network.eval()
