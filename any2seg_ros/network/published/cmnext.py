"""CMNeXt (Zhang et al., CVPR 2023) whole: MiT for RGB, the hub for the others, all-MLP decoder."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from any2seg_ros.network.decoder import AllMLP
from any2seg_ros.network.hub import Hub, HubConfig
from any2seg_ros.network.mit import MIT_CONFIGS, MiT
from any2seg_ros.network.published import layout
from any2seg_ros.types import Subset

MARK = "backbone.extra_downsample_layers."
"""What keys of CMNeXt begin with and no other network's."""
HEADS = (1, 2, 5, 8)

_RULES = (
    (r"extra_downsample_layers\.(\d)\.proj\.module\.", r"hub.scales.\1.embed."),
    (r"extra_downsample_layers\.(\d)\.norm\.ln_(\d)\.", r"hub.scales.\1.embed_norms.\2."),
    (r"extra_score_predictor\.(\d)\.score_nets\.(\d)\.0\.", r"hub.scales.\1.scores.\2.depthwise."),
    (r"extra_score_predictor\.(\d)\.score_nets\.(\d)\.1\.", r"hub.scales.\1.scores.\2.point."),
    *(
        (pattern.replace("N", str(i + 1)), ours.replace("N", str(i)))
        for i in range(4)
        for pattern, ours in (
            (r"extra_blockN\.(\d+)\.attn\.conv0\.", r"hub.scales.N.blocks.\1.spread."),
            (r"extra_blockN\.(\d+)\.attn\.conv4\.", r"hub.scales.N.blocks.\1.mix."),
            (r"extra_blockN\.(\d+)\.mlp\.dwconv\.dwconv\.", r"hub.scales.N.blocks.\1.depthwise."),
            (r"extra_blockN\.(\d+)\.mlp\.", r"hub.scales.N.blocks.\1."),
            (r"extra_blockN\.(\d+)\.layer_scale_(\d)", r"hub.scales.N.blocks.\1.scale\2"),
            (r"extra_blockN\.(\d+)\.c_nets\.0\.", r"hub.scales.N.blocks.\1.channels."),
            (r"extra_blockN\.(\d+)\.", r"hub.scales.N.blocks.\1."),
            (r"extra_normN\.", r"hub.scales.N.norm."),
        )
    ),
    (r"FRMs\.(\d)\.channel_weights\.mlp\.", r"hub.scales.\1.rectify.channel."),
    (r"FRMs\.(\d)\.spatial_weights\.mlp\.", r"hub.scales.\1.rectify.spatial."),
    *(
        (pattern.replace("N", str(i + 1)), ours.replace("N", str(i)))
        for i in range(2)
        for pattern, ours in (
            (r"FFMs\.(\d)\.cross\.channel_projN\.", r"hub.scales.\1.fuse.project.N."),
            (r"FFMs\.(\d)\.cross\.cross_attn\.kvN\.", r"hub.scales.\1.fuse.pairs.N."),
            (r"FFMs\.(\d)\.cross\.end_projN\.", r"hub.scales.\1.fuse.back.N."),
            (r"FFMs\.(\d)\.cross\.normN\.", r"hub.scales.\1.fuse.norms.N."),
        )
    ),
    (r"FFMs\.(\d)\.channel_emb\.channel_embed\.", r"hub.scales.\1.fuse.embed."),
    (r"FFMs\.(\d)\.channel_emb\.", r"hub.scales.\1.fuse."),
)


class CMNeXt(nn.Module):
    """See `WholeNetwork`. Stages of the leading branch see what the hub has rectified."""

    leaves_out = False

    def __init__(self, backbone: str, modalities: Subset, classes: int, width: int) -> None:
        super().__init__()
        config = MIT_CONFIGS[backbone]
        self.backbone = backbone
        self.modalities = modalities
        self.stages = MiT(config).stages
        self.hub = Hub(
            HubConfig(
                config.channels,
                config.depths,
                HEADS,
                others=len(modalities) - 1,
                published_order=True,
            )
        )
        self.decoder = AllMLP(config.channels, classes, width)

    def whole(self, images: Tensor, present: Tensor) -> Tensor:
        lead, *others = images.unbind(1)
        maps = []
        for stage, scale in zip(self.stages, self.hub.scales, strict=True):
            lead, fused, others = scale(stage(lead), others)
            maps.append(fused)
        return self.decoder(maps)


def cmnext(tensors: Mapping[str, Tensor], named: Subset) -> CMNeXt:
    """The network of a checkpoint; `named` are the modalities that its file's name says."""
    others = layout.count(tensors, rf"{re.escape(MARK)}0\.norm\.ln_(\d)\.")
    modalities = layout.modalities_of(1 + others, named)
    head = tensors["decode_head.linear_pred.weight"]
    network = CMNeXt(layout.mit_name(tensors, "backbone."), modalities, len(head), head.shape[1])
    weights = layout.renamed(tensors, "backbone.", _RULES)
    weights |= layout.decoder_of(tensors, "decode_head.")
    layout.fill(network, weights, layout.elsewhere(tensors, "backbone.", "decode_head."))
    return network.eval()
