"""Figures that several benchmarks make of what they measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SETTLED = 0.3
"""Share of a run after which buffers and caches are full and memory must be flat."""


def percentiles(
    values: np.ndarray | Sequence[float], of: Sequence[int] = (50, 90), digits: int = 1
) -> dict[str, float]:
    """`p50`, `p90` and so on, rounded; NaN without a value."""
    if len(values) == 0:
        return {f"p{p}": math.nan for p in of}
    return {f"p{p}": round(float(np.percentile(values, p)), digits) for p in of}


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """Least processor time of `work()` in ms, after one call that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return round(1e3 * min(times), 3)


def growth(times: np.ndarray, memory: np.ndarray) -> float:
    """Slope of a straight line through the memory that is settled, in its unit a unit of time."""
    settled = times >= times[0] + SETTLED * (times[-1] - times[0])
    return float(np.polyfit(times[settled], memory[settled], 1)[0]) if settled.sum() > 1 else 0.0


def memory_over_time(times: np.ndarray, memory: np.ndarray) -> dict[str, Any]:
    """What resident memory does; times in s, memory in MiB."""
    settled = memory[times >= times[0] + SETTLED * (times[-1] - times[0])]
    return {
        "memory_mib": {
            "first": round(float(memory[0])),
            "settled": round(float(settled[0])),
            "last": round(float(memory[-1])),
            "most": round(float(memory.max())),
        },
        "memory_growth_mib_per_minute": round(growth(times / 60, memory), 3),
    }
