"""The Any2Seg network in torch: encoders, MFF, decoder, checkpoints."""

from any2seg_ros.network.any2seg import Any2Seg, NetworkConfig

__all__ = ["Any2Seg", "NetworkConfig"]
