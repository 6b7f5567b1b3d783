"""Encodes events as EVT3, Prophesee's "EVT 3.0 Format" of 16-bit words."""

from __future__ import annotations

import numpy as np

from any2seg_ros.types import Events

_ADDRESS_Y, _ADDRESS_X, _BASE_X, _VECTOR_12 = 0x0000, 0x2000, 0x3000, 0x4000
_TIME_LOW, _TIME_HIGH = 0x6000, 0x8000
_SPAN = 12
_CROWD = 3
"""From this many events in 12 columns, a vector (two words) is shorter than single events."""


def encode(events: Events, begin: int, zero: int, tick_us: int = 1) -> bytes:
    """A little-endian packet, with time in us since `zero` (ns).

    The packet starts with the time word of `begin` (ns). Times are rounded down to `tick_us`
    microseconds; events of one tick are ordered by row, polarity and column, as a sensor reads
    them out. Each packet decodes on its own, except for wraps of the 24-bit time. Events of the
    same pixel, polarity and tick are merged.
    """
    tick = 1000 * tick_us
    time = (np.maximum(events.t, begin) - zero) // tick * tick_us
    start = (begin - zero) // tick * tick_us
    x, y, p = (column.astype(np.int64) for column in (events.x, events.y, events.p))
    # A sort key of time, row, polarity and column; unique() merges equal events.
    key = np.unique((((time - start) << 12 | y) << 1 | p) << 12 | x)
    x, p, y, time = key & 0xFFF, key >> 12 & 1, key >> 13 & 0xFFF, (key >> 25) + start
    head = np.array([_TIME_HIGH | (start >> 12 & 0xFFF), _TIME_LOW | (start & 0xFFF)], "<u2")
    if not len(time):
        return head.tobytes()
    return head.tobytes() + _words(time, y, p, x, start).astype("<u2").tobytes()


def _words(time: np.ndarray, y: np.ndarray, p: np.ndarray, x: np.ndarray, start: int) -> np.ndarray:
    span = x // _SPAN
    group = ((time << 12 | y) << 1 | p) << 12 | span
    new = np.concatenate([[True], group[1:] != group[:-1]])
    number = np.cumsum(new) - 1
    crowded = np.bincount(number)[number] >= _CROWD
    mask = np.zeros(number[-1] + 1, np.int64)
    np.add.at(mask, number, 1 << (x - span * _SPAN))
    keep = np.flatnonzero(new | ~crowded)
    vector, mask = crowded[keep], mask[number[keep]]
    time, y, p, x, span = time[keep], y[keep], p[keep], x[keep], span[keep]
    before = np.concatenate([[start], time[:-1]])
    columns = [
        (time >> 12 != before >> 12, _TIME_HIGH | (time >> 12 & 0xFFF)),
        (time != before, _TIME_LOW | (time & 0xFFF)),
        (np.concatenate([[True], y[1:] != y[:-1]]), _ADDRESS_Y | y),
        (vector, _BASE_X | (p << 11) | (span * _SPAN)),
        (vector, _VECTOR_12 | mask),
        (~vector, _ADDRESS_X | (p << 11) | x),
    ]
    wanted = np.stack([flag for flag, _ in columns], 1)
    return np.stack([word for _, word in columns], 1)[wanted]
