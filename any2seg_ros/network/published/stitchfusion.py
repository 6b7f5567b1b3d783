"""StitchFusion (Li et al., arXiv 2408.01343) whole: one MiT for all modalities, whose blocks are
linked by small adapters from each modality to each other, and a fusion of the four maps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from any2seg_ros.network.decoder import AllMLP
from any2seg_ros.network.mit import MIT_CONFIGS, Block, MiT, Stage
from any2seg_ros.network.published import layout
from any2seg_ros.types import Subset

MARKS = ("backbone.feature_cross.", "backbone.feature_conc.")
"""What keys of StitchFusion begin with and no other network's: with and without a mixing FFN."""
NARROW = 8
SHARED = "all"
"""The one link of a block whose adapters are the same for all pairs."""

_LINK = re.compile(
    r"block(\d)\.(\d+)\.(?:adap_t_(att|mlp)(\d\d)|(adap2?_t))\.adapter_(down|mid|up)\.(\w+)"
)
_FUSION_RULES = (
    (r"feature_c\w+\.liner_fusion_layers\.(\d)\.", r"fusions.\1.linear."),
    (r"feature_cross\.mix_ffn\.(\d)\.pwconv(\d)\.pwconv\.", r"fusions.\1.mixing.point\2."),
    (r"feature_cross\.mix_ffn\.(\d)\.pwconv(\d)\.bn\.", r"fusions.\1.mixing.norm\2."),
    (r"feature_cross\.mix_ffn\.(\d)\.dwconv(\d)\.dwconv\.", r"fusions.\1.mixing.depthwise\2."),
    (r"feature_cross\.mix_ffn\.(\d)\.", r"fusions.\1.mixing."),
    (r"feature_cross\.channel_attns\.(\d)\.fc\.", r"fusions.\1.gate."),
)


class StitchFusion(nn.Module):
    """See `WholeNetwork`. links: by stage and block, the pairs `12`, `13`, ... that are linked."""

    leaves_out = False

    def __init__(
        self,
        backbone: str,
        modalities: Subset,
        links: Mapping[tuple[int, int], Sequence[str]],
        mixing: bool,
        head: tuple[int, int],
    ) -> None:
        super().__init__()
        config = MIT_CONFIGS[backbone]
        self.backbone = backbone
        self.modalities = modalities
        self.stages = MiT(config).stages
        for i, stage in enumerate(self.stages):
            assert isinstance(stage, Stage)
            for j, block in enumerate(stage.blocks):
                names = links.get((i, j), ())
                for part in ("attention_links", "mlp_links"):
                    setattr(block, part, _adapters(config.channels[i], names))
        count = len(modalities)
        self.fusions = nn.ModuleList(Fusion(c, count, mixing) for c in config.channels)
        self.decoder = AllMLP(config.channels, *head)

    def whole(self, images: Tensor, present: Tensor) -> Tensor:
        maps = list(images.unbind(1))
        fused = []
        for stage, fusion in zip(self.stages, self.fusions, strict=True):
            assert isinstance(stage, Stage)
            embedded = [stage.embed(m) for m in maps]
            height, width = embedded[0].shape[-2:]
            tokens = [stage.embed_norm(m.flatten(2).transpose(1, 2)) for m in embedded]
            for block in stage.blocks:
                tokens = _stitched(block, tokens, (height, width))
            tokens = [stage.norm(t) for t in tokens]
            fused.append(fusion(tokens, (height, width)))
            maps = [t.transpose(1, 2).unflatten(2, (height, width)) for t in tokens]
        return self.decoder(fused)


class Adapter(nn.Module):
    """What one modality's tokens tell another's: through eight numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, NARROW)
        self.mid = nn.Linear(NARROW, NARROW)
        self.up = nn.Linear(NARROW, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.up(F.gelu(self.mid(self.down(tokens))))


class Fusion(nn.Module):
    """The tokens of all modalities at a scale to one map (B, C, H, W)."""

    def __init__(self, channels: int, count: int, mixing: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * count, channels)
        self.mixing = Mixing(channels) if mixing else None
        narrow = channels // 16
        self.gate = (
            nn.Sequential(
                nn.Linear(channels, narrow, bias=False),
                nn.ReLU(),
                nn.Linear(narrow, channels, bias=False),
                nn.Sigmoid(),
            )
            if mixing
            else None
        )

    def forward(self, tokens: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        joined = self.linear(torch.cat(tuple(tokens), 2))
        if self.mixing is not None and self.gate is not None:
            gated = joined * self.gate(joined.mean(1, keepdim=True))
            joined = self.mixing(joined, size) + gated
        return joined.transpose(1, 2).unflatten(2, size)


class Mixing(nn.Module):
    """A feed-forward layer with depthwise convolutions of three sizes in it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.point1 = nn.Conv2d(channels, channels, 1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.depthwise3 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.depthwise5 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.depthwise7 = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.point2 = nn.Conv2d(channels, channels, 1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.fc2 = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        planes = self.fc1(tokens).transpose(1, 2).unflatten(2, size)
        planes = self.norm1(self.point1(planes))
        spread = self.depthwise3(planes) + self.depthwise5(planes) + self.depthwise7(planes)
        planes = F.gelu(self.norm2(self.point2(planes + spread)))
        return self.fc2(planes.flatten(2).transpose(1, 2))


def stitchfusion(tensors: Mapping[str, Tensor], named: Subset) -> StitchFusion:
    """The network of a checkpoint; `named` are the modalities that its file's name says."""
    backbone = layout.mit_name(tensors, "backbone.")
    mixing = any(name.startswith(MARKS[0]) for name in tensors)
    linear = tensors[f"{MARKS[0] if mixing else MARKS[1]}liner_fusion_layers.0.weight"]
    modalities = layout.modalities_of(linear.shape[1] // linear.shape[0], named)
    head = tensors["decode_head.linear_pred.weight"]
    weights, links = _weights(tensors)
    network = StitchFusion(backbone, modalities, links, mixing, (len(head), head.shape[1]))
    weights |= layout.decoder_of(tensors, "decode_head.")
    layout.fill(network, weights, layout.elsewhere(tensors, "backbone.", "decode_head."))
    return network.eval()


def _weights(
    tensors: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], dict[tuple[int, int], list[str]]]:
    """The backbone's weights by our names, and the links by stage and block."""
    weights: dict[str, Tensor] = {}
    links: dict[tuple[int, int], dict[str, None]] = {}
    others = {}
    for name, tensor in tensors.items():
        found = _LINK.match(name.removeprefix("backbone."))
        if not found:
            others[name] = tensor
            continue
        stage, block, kind, pair, shared, part, what = found.groups()
        kind = kind or ("att" if shared == "adap_t" else "mlp")
        place = int(stage) - 1, int(block)
        links.setdefault(place, {})[pair or SHARED] = None
        owner = "attention_links" if kind == "att" else "mlp_links"
        key = f"stages.{place[0]}.blocks.{place[1]}.{owner}.{pair or SHARED}.{part}.{what}"
        weights[key] = tensor
    weights |= layout.renamed(others, "backbone.", _FUSION_RULES)
    return weights, {place: list(names) for place, names in links.items()}


def _adapters(channels: int, names: Sequence[str]) -> nn.ModuleDict:
    return nn.ModuleDict({name: Adapter(channels) for name in names})


def _stitched(block: nn.Module, tokens: list[Tensor], size: tuple[int, int]) -> list[Tensor]:
    """A block on the tokens of all modalities, and after each of its halves what links them.

    One modality after the other tells all others; who comes later has heard those before.
    """
    assert isinstance(block, Block)
    tokens = [t + block.attention(block.norm1(t), *size) for t in tokens]
    tokens = _linked(cast(nn.ModuleDict, block.attention_links), block.norm1, tokens)
    tokens = [t + block.mlp(block.norm2(t), *size) for t in tokens]
    return _linked(cast(nn.ModuleDict, block.mlp_links), block.norm2, tokens)


def _linked(links: nn.ModuleDict, norm: nn.Module, tokens: list[Tensor]) -> list[Tensor]:
    if not len(links):
        return tokens
    told = list(tokens)
    for i in range(len(told)):
        said = norm(told[i])
        for j in range(len(told)):
            if i != j:
                told[j] = told[j] + links[_pair(links, i, j)](said)
    return told


def _pair(links: nn.ModuleDict, i: int, j: int) -> str:
    """The link from modality i to j: its own, the one of both, or that of all."""
    one, both = f"{i + 1}{j + 1}", f"{min(i, j) + 1}{max(i, j) + 1}"
    return next(name for name in (one, both, SHARED) if name in links)
