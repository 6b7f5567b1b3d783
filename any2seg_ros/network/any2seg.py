"""Any2Seg: one encoder for all modalities, MFF at each of its scales, one decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from any2seg_ros.network.decoder import AllMLP, Folded
from any2seg_ros.network.efficientnet import EfficientNetLite0
from any2seg_ros.network.fusion import FUSIONS, modality_weights
from any2seg_ros.network.mit import MIT_CONFIGS, MiT

ENCODERS = (*MIT_CONFIGS, "efficientnet_lite0")


@dataclass(frozen=True)
class NetworkConfig:
    """What an Any2Seg is made of.

    encoder: mit_b0 to mit_b5 or efficientnet_lite0. width: channels of the decoder. fusion: mff,
    or mean for the baseline. refine: residual blocks in the decoder; 0 is the published one.
    """

    encoder: str = "efficientnet_lite0"
    classes: int = 25
    width: int = 128
    fusion: str = "mff"
    dropout: float = 0.1
    refine: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (
            ("encoder", self.encoder, ENCODERS),
            ("fusion", self.fusion, tuple(FUSIONS)),
        ):
            if value not in known:
                raise ValueError(f"unknown {what} '{value}': use one of {', '.join(known)}")


class Any2Seg(nn.Module):
    """Modality images -> logits, with any number of modalities.

    Absent modalities are not computed: their images are simply not among the inputs. The function
    does not depend on the order of the modalities, except for exact ties in MFF's selection.
    """

    def __init__(self, config: NetworkConfig = NetworkConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder: MiT | EfficientNetLite0
        if config.encoder in MIT_CONFIGS:
            self.encoder = MiT(MIT_CONFIGS[config.encoder])
        else:
            self.encoder = EfficientNetLite0()
        self.decoder: AllMLP | Folded = AllMLP(
            self.encoder.channels, config.classes, config.width, config.dropout, config.refine
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One frame: images (M, 3, H, W) -> logits (K, H/4, W/4), weights (M,)."""
        logits, weights = self.segment([f[None] for f in self.encoder(images)])
        return logits[0], weights[0]

    def encode(self, images: Tensor, present: Tensor | None = None) -> list[Tensor]:
        """images (B, M, 3, H, W) -> four maps (B, M, C, H/s, W/s); one pass for all modalities.

        Images that are not `present`, bool (B, M), are not computed: their maps are zero.
        """
        if present is None or bool(present.all()):
            maps = self.encoder(images.flatten(0, 1))
            return [features.unflatten(0, images.shape[:2]) for features in maps]
        spread = []
        for features in self.encoder(images[present]):
            zeros = features.new_zeros(*images.shape[:2], *features.shape[1:])
            spread.append(zeros.masked_scatter(present[:, :, None, None, None], features))
        return spread

    def fuse(
        self, maps: Sequence[Tensor], present: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Four maps (B, M, C, H, W) -> four fused maps (B, C, H, W), weights (B, M).

        `present` bool (S, M) gives every sample its own subset, or one sample (B = 1) many:
        there are S fused maps then.
        """
        fusion = FUSIONS[self.config.fusion]
        fused, cosines = zip(*(fusion(f, present) for f in maps), strict=True)
        return list(fused), modality_weights(cosines, present)

    def segment(
        self, maps: Sequence[Tensor], present: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Four maps (B, M, C, H, W) -> logits (B, K, H/4, W/4), weights (B, M); see `fuse`."""
        fused, weights = self.fuse(maps, present)
        return self.decoder(fused), weights

    def folded(self) -> Any2Seg:
        """The same network for inference: in evaluation mode, with a folded decoder."""
        network = Any2Seg(self.config)
        network.load_state_dict(self.state_dict())
        network.eval()
        if isinstance(network.decoder, AllMLP):
            network.decoder = network.decoder.folded()
        return network.requires_grad_(False)
