"""Fields of dataclasses that say what they are: the node's parameters are made from them."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from any2seg_ros.types import Modality


def setting(
    default: Any,
    text: str,
    low: float | None = None,
    high: float | None = None,
    live: bool = False,
    only: tuple[Modality, ...] = tuple(Modality),
) -> Any:
    """A field; `live`: can be changed while the node runs; `only`: the sensors that have it."""
    metadata = {"text": text, "range": (low, high), "live": live, "only": only}
    return field(default=default, metadata=metadata)
