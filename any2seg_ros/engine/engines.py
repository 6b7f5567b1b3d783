"""What runs a network and makes masks of its logits: NumPy arrays go in and come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from any2seg_ros.engine.features import Choices, Features
from any2seg_ros.engine.sources import NetworkSource
from any2seg_ros.types import Modality, Subset

if TYPE_CHECKING:
    from any2seg_ros.network import Any2Seg
    from any2seg_ros.network.asymmetric import Asymmetric

PRECISIONS = {
    "torch": ("auto", "f32", "bf16", "f16"),
    "openvino": ("auto", "f32", "bf16", "f16"),
    "onnxruntime": ("auto", "f32"),
}
NAMES = tuple(PRECISIONS)


class Engine(Protocol):
    """Runs the encoder once for all images, and the rest for as many subsets of them as wanted.

    What is returned belongs to the caller.
    """

    description: str

    def subsets_to_prepare(self, modalities: Iterable[Modality]) -> list[Subset]:
        """The subsets of `modalities` that must have been segmented once for all graphs to be
        there."""

    def prepared(self) -> None:
        """Those subsets have been segmented: what only making the graphs needs can go."""

    def encode(
        self, images: Sequence[np.ndarray], modalities: Sequence[Modality]
    ) -> list[Features]:
        """Features of each of the images float32 (3, H, W), all of one size, of `modalities`."""

    def segment(
        self,
        features: Sequence[Features],
        modalities: Sequence[Modality],
        choices: Choices | None = None,
    ) -> tuple[Sequence[Any], np.ndarray]:
        """Logits (K, H/4, W/4) of S choices, as the engine keeps them, and weights float32 (S, M)
        of the features of M images.

        `modalities` tells whose features the M are; one may be there more than once.
        S: the choices among the M that are segmented, each on its own; one of all by default.
        """

    def masks(
        self, logits: Any, size: tuple[int, int], temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels and confidence of the logits of one choice; see `masks.masks`."""

    def array(self, logits: Any) -> np.ndarray:
        """The logits of one choice, float32 (K, H/4, W/4)."""

    def total(self, logits: Any) -> float:
        """The sum of the logits of one choice: not finite if one of them is not."""


def resolve(name: str, device: str) -> str:
    """The engine for `auto`: torch where there is a GPU, else the fastest that is installed."""
    if name == "auto":
        if device.startswith("cuda") or (device == "auto" and _has_cuda()):
            return "torch"
        return next((n for n in ("openvino", "onnxruntime") if find_spec(n)), "torch")
    if name not in NAMES:
        raise ValueError(f"unknown engine '{name}': use one of auto, {', '.join(NAMES)}")
    if not find_spec(name):
        raise ValueError(f"engine '{name}' is not installed: pip install {name}")
    return name


def make(
    name: str, network: NetworkSource | Any2Seg, device: str, threads: int, precision: str
) -> Engine:
    """The engine called `name` (see `resolve`) for a network; ValueError for what it cannot do."""
    if threads < 0:
        raise ValueError(f"threads must be 0 (as many as the engine likes) or more, not {threads}")
    known = PRECISIONS[name]
    if precision not in known:
        raise ValueError(
            f"engine {name} has no precision '{precision}': use one of {', '.join(known)}"
        )
    source = network if isinstance(network, NetworkSource) else NetworkSource.of_network(network)
    if source.whole:
        from any2seg_ros.engine.whole_engine import WholeEngine

        return WholeEngine(cast("Asymmetric", source.network), device, threads)
    if name == "torch":
        from any2seg_ros.engine.torch_engine import TorchEngine

        return TorchEngine(source.network, device, threads, precision)
    if name == "openvino":
        from any2seg_ros.engine.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(source, device, threads, precision)
    from any2seg_ros.engine.onnx_engine import OnnxEngine

    if device not in ("auto", "cpu"):
        raise ValueError(f"engine onnxruntime does not run on '{device}' here: use cpu, or torch")
    return OnnxEngine(source, threads)


GPU_FILES = ("/dev/nvidiactl", "/dev/nvhost-ctrl-gpu", "/dev/nvgpu", "/dev/dxg", "/dev/kfd")
"""At least one is there where torch may find a GPU: NVIDIA's, Jetsons', WSL's and AMD's drivers."""


def _has_cuda() -> bool:
    """Whether torch finds a GPU; it is imported only where there may be one."""
    if not any(Path(file).exists() for file in GPU_FILES) or not find_spec("torch"):
        return False
    if metadata.version("torch").endswith("+cpu"):
        return False
    import torch

    return torch.cuda.is_available()
