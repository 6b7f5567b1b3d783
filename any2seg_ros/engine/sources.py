"""The network that an engine runs; torch is imported only where its modules are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from any2seg_ros.files import checksum
from any2seg_ros.network import checkpoints
from any2seg_ros.types import Modality

if TYPE_CHECKING:
    from torch import Tensor

    from any2seg_ros.network import Any2Seg

HUB = "hub"
"""What `fusion` is called there; see `network.fusion`, which needs torch."""
_ADAPTERS = "adapters.matrices."
"""What the adapters' tensors are called, before the number of their scale."""


class NetworkSource:
    """A network for inference, and what can be known of it without torch.

    folder: where graphs may lie that came with the weights.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        adapters: Mapping[str, np.ndarray],
        load: Callable[[], Any2Seg],
        digest: Callable[[], str],
        folder: Path | None = None,
    ) -> None:
        self.encoder = str(config.get("encoder", ""))
        self.shared_encoder = bool(config.get("shared_encoder", True))
        self.whole = config.get("fusion") == HUB
        """Whether it cannot be cut in two, and no graphs can be made of it."""
        self.folder = folder
        self._adapters = [adapters[name] for name in sorted(adapters)]
        self._load = load
        self._digest = digest

    @classmethod
    def of_checkpoint(cls, path: Path) -> NetworkSource:
        """See `checkpoints.load` for the errors."""
        config = checkpoints.read_header(path).network
        adapters = checkpoints.read_arrays(path, _ADAPTERS)
        folder = path.with_suffix(".graphs")
        return cls(
            config, adapters, lambda: checkpoints.load(path)[0], lambda: checksum(path), folder
        )

    @classmethod
    def of_network(cls, network: Any2Seg) -> NetworkSource:
        """Of a network that is there."""
        tensors = network.state_dict().items()
        adapters = {name: _array(t) for name, t in tensors if name.startswith(_ADAPTERS)}

        def digest() -> str:
            total = hashlib.sha256(repr(network.config).encode())
            for tensor in network.state_dict().values():
                total.update(_array(tensor).tobytes())
            return total.hexdigest()

        return cls(vars(network.config), adapters, lambda: network, digest)

    @cached_property
    def digest(self) -> str:
        """Of the configuration and all weights."""
        return self._digest()

    @property
    def has_adapters(self) -> bool:
        """Whether features are mixed before the fusion."""
        return bool(self._adapters)

    @cached_property
    def network(self) -> Any2Seg:
        """The network in torch, folded for inference; it is the caller's to change."""
        from any2seg_ros.engine.torch_threads import one_thread

        with one_thread():
            return self._load().folded()

    def mixing(self, group: int, modalities: Sequence[Modality]) -> list[np.ndarray]:
        """The adapters' matrices float32 (M, C, C) a scale, of `modalities` in this group by
        number of modalities; none without adapters."""
        return [
            np.eye(matrices.shape[-1], dtype=np.float32) + matrices[group, list(modalities)]
            for matrices in self._adapters
        ]


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().numpy()
