"""OpenVINO without its telemetry: as it is, importing it posts to the internet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"


@contextmanager
def without_telemetry() -> Iterator[None]:
    """OpenVINO finds no telemetry to import meanwhile, and takes the stub that it has instead."""
    kept = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if kept is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = kept


with without_telemetry():
    import openvino as ov

__all__ = ["ov", "without_telemetry"]
