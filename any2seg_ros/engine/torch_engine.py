"""Inference with torch: CUDA with mixed precision where there is a GPU, else the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from any2seg_ros.engine.halves import Choices, everything, presence
from any2seg_ros.modalities import Modality
from any2seg_ros.network import Any2Seg


def _device(name: str) -> torch.device:
    """The device called so; ValueError where there is none."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter without CUDA in torch
        raise ValueError(
            f"torch has no device '{name}' here: use auto or cpu ({str(error).splitlines()[0]})"
        ) from None
    return device


class TorchEngine:
    """See `engines.Engine`."""

    def __init__(self, network: Any2Seg, device: str, threads: int, precision: str) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if threads:
            torch.set_num_threads(threads)
        self.device = _device(device)
        self.network = network.to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        half = precision == "f16" or (precision == "auto" and self.device.type == "cuda")
        kind = torch.float16 if half else torch.bfloat16
        mixed = half or precision == "bf16"
        self._autocast = torch.autocast(self.device.type, kind, enabled=mixed)
        word = str(kind).removeprefix("torch.") if mixed else "float32"
        self.description = f"torch {torch.__version__} on {self.device}, {word}"

    @torch.inference_mode()
    def encode(self, images: np.ndarray, modalities: Sequence[Modality]) -> list[np.ndarray]:
        with self._autocast:
            maps = self.network.maps(self._tensor(images), modalities)
        return [self._array(m) for m in maps]

    @torch.inference_mode()
    def segment(
        self,
        maps: Sequence[np.ndarray],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        count = len(maps[0])
        rows = presence(count, choices or everything(count))
        rows = None if rows is None else rows.to(self.device)
        with self._autocast:
            stacks = [self._tensor(m)[None] for m in maps]
            logits, weights = self.network.segment(stacks, rows, modalities)
        return self._array(logits), self._array(weights)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _array(self, tensor: Tensor) -> np.ndarray:
        return tensor.float().contiguous().cpu().numpy()
