"""Networks that mix modalities while they encode: nothing of a modality can be kept for later."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from any2seg_ros.types import Subset


class WholeNetwork(Protocol):
    """From modality images to logits in one piece, in evaluation mode.

    modalities: whose images it takes, in its own order. leaves_out: whether it can do without an
    image; otherwise an image that is not present is one of zeros. backbone: as tables name it.
    """

    modalities: Subset
    leaves_out: bool
    backbone: str

    def whole(self, images: Tensor, present: Tensor) -> Tensor:
        """images (B, M, 3, H, W), zero where not `present`, bool (B, M) -> logits (B, K, H/4, W/4).

        M and the order are those of `modalities`.
        """
