"""Inference of networks that cannot be cut in two, with torch: see `WholeNetwork`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from any2seg_ros.engine.features import Choices, Features, everything
from any2seg_ros.engine.masks import masks, total
from any2seg_ros.network.whole import WholeNetwork
from any2seg_ros.types import Modality, Subset


class WholeEngine:
    """See `engines.Engine`: nothing is encoded beforehand, each choice runs the whole network.

    Float32 on a CPU or a GPU. Images of modalities that the network does not take are ignored. All
    images that are taken weigh the same: such a network does not tell.
    """

    def __init__(self, network: WholeNetwork, device: str, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        if isinstance(network, nn.Module):
            network.requires_grad_(False).to(self.device)
        self._network = network
        self.description = f"torch {torch.__version__} on {self.device}, float32, whole"

    def subsets_to_prepare(self, modalities: Iterable[Modality]) -> list[Subset]:
        taken = tuple(m for m in sorted(set(modalities)) if m in self._network.modalities)
        return [taken] if taken else []

    def prepared(self) -> None:
        """Nothing is kept for making graphs."""

    @torch.inference_mode()
    def encode(
        self, images: Sequence[np.ndarray], modalities: Sequence[Modality]
    ) -> list[Features]:
        return [[torch.from_numpy(image).to(self.device)] for image in images]

    @torch.inference_mode()
    def segment(
        self,
        features: Sequence[Features],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[Sequence[Any], np.ndarray]:
        wanted = choices or everything(len(modalities))
        logits = []
        weights = np.zeros((len(wanted), len(modalities)), np.float32)
        for row, chosen in enumerate(wanted):
            taken = {modalities[i]: i for i in chosen if modalities[i] in self._network.modalities}
            if not taken:
                names = "+".join(m.label for m in self._network.modalities)
                raise ValueError(f"no image that this network takes: it takes {names}")
            logits.append(self._run({m: features[i][0] for m, i in taken.items()}))
            weights[row, list(taken.values())] = 1 / len(taken)
        return logits, weights

    def masks(
        self, logits: Any, size: tuple[int, int], temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return masks(logits, size, temperature)

    def array(self, logits: Any) -> np.ndarray:
        return logits

    def total(self, logits: Any) -> float:
        return total(logits)

    def _run(self, images: dict[Modality, Tensor]) -> np.ndarray:
        blank = torch.zeros_like(next(iter(images.values())))
        order = self._network.modalities
        batch = torch.stack([images.get(m, blank) for m in order])
        present = torch.tensor([[m in images for m in order]], device=self.device)
        return self._network.whole(batch[None], present)[0].float().cpu().numpy()
