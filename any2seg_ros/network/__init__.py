"""The Any2Seg network in torch: encoders, MFF, decoder, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from any2seg_ros.network.any2seg import Any2Seg, NetworkConfig

__all__ = ["Any2Seg", "NetworkConfig"]


def __getattr__(name: str) -> Any:
    """torch is imported with the first of these names: a vehicle reads checkpoints without it."""
    if name in __all__:
        from any2seg_ros.network import any2seg

        return getattr(any2seg, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
