"""When each point of a cloud was measured: drivers disagree on the name, type, unit and zero.

Ouster's `t` is uint32, ns after the stamp; Velodyne's `time` float32, s after it, or before it
where the stamp is the sweep's end; `timestamp` is float64, of Hesai and RoboSense in s since 1970,
of Livox in ns; Autoware's `time_stamp` is uint32, ns after the stamp; Livox's `offset_time` too.
So the numbers tell what they are.
"""

from __future__ import annotations

import numpy as np

from any2seg_ros.types import plain

AUTO, NONE = "auto", "none"
CANDIDATES = ("t", "time", "timestamp", "time_stamp", "time_offset", "offset_time")
"""Fields that are looked for, in this order."""
_UNITS = (1e9, 1e6, 1e3, 1.0)
"""ns of a s, ms, us and ns."""
_SPANS = {"f": (2.0, 2e3, 2e6, np.inf), "u": (0.0, 2e3, 2e6, np.inf)}
"""The longest sweep in each of these units that is taken for one, by the kind of number: sweeps
last some 1 to 600 ms, and nobody counts whole seconds."""
_LONGEST = 0.6
"""s from the stamp to any of its points at most: LiDARs turn twice a second and more."""
_SINCE_1970 = 2e9
"""ns above which a time is one since 1970, or since the start of a simulation."""


def fields_to_read(setting: str) -> tuple[str, ...]:
    """The fields among which the times are: `setting` is a name, auto or none."""
    if setting == NONE:
        return ()
    return CANDIDATES if setting == AUTO else (setting,)


def point_times(values: np.ndarray, name: str, stamp: int) -> np.ndarray:
    """float32 (n,): s from a cloud's stamp (ns) to when each of its points was measured.

    values: the field `name` of its points, any real type. ValueError says why it has no such times.
    """
    low, high = values.min(), values.max()
    if not np.isfinite([low, high]).all():
        raise ValueError(f"its field '{plain(name)}' has times that are not finite")
    unit = _absolute_unit(float(low), float(high), stamp)
    if unit:
        if values.dtype.kind == "f" and values.dtype.itemsize == 4:
            raise ValueError(f"its field '{plain(name)}' is float32, too coarse for a date")
        times = (values.astype(np.float64) - stamp / unit) * (unit * 1e-9)
        return times.astype(np.float32)
    spans = _SPANS["f" if values.dtype.kind == "f" else "u"]
    span = float(high) - float(low)
    unit = next(u for u, longest in zip(_UNITS, spans, strict=True) if span < longest)
    farthest = max(abs(float(low)), abs(float(high))) * unit * 1e-9
    if farthest > _LONGEST:
        raise ValueError(
            f"its field '{plain(name)}' (lidar.time_field) tells of times away from its stamp by "
            f"{farthest:.1f} s"
        )
    return np.multiply(values, np.float32(unit * 1e-9), dtype=np.float32, casting="unsafe")


def _absolute_unit(low: float, high: float, stamp: int) -> float:
    """ns of the unit in which times are dates around a stamp (ns); 0 where they are none."""
    for unit in _UNITS:
        near = max(abs(low * unit - stamp), abs(high * unit - stamp)) < _LONGEST * 1e9
        if near and high * unit > _SINCE_1970:
            return unit
    return 0.0
