"""EVT 2.0 and 2.1: words of 32 and 64 bits with an event, or 32 pixels of a line, and its time.

As defined in Prophesee's "EVT 2.0 Format" and "EVT 2.1 Format". The time has 34 bits in
microseconds: 28 in words of their own, that sensors repeat, 6 with the events. It begins anew after
four hours and 46 minutes, which is followed.
"""

from __future__ import annotations

import numpy as np

_OFF, _ON, _TIME_HIGH = 0x0, 0x1, 0x8
_LOOP = 1 << 28


class Evt2Decoder:
    """Decodes packets of one stream in their order; `vectors`: of EVT 2.1."""

    def __init__(self, vectors: bool) -> None:
        self._vectors = vectors
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next packet may be of another one."""
        self._high = -1
        self._upper_first: bool | None = None

    def decode(
        self, data: np.ndarray, order: str
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Events of bytes, uint8 (n,): time int64 us, x, y uint16, polarity bool.

        order: `<` or `>`. Events before the first word of time have none and are left out.
        """
        upper, lower = self._words(data, order)
        kind = upper >> np.uint32(28)
        at_high = np.flatnonzero(kind == _TIME_HIGH)
        highs = self._highs(upper.take(at_high) & np.uint32(_LOOP - 1))
        at = np.flatnonzero(kind <= _ON)
        which = at_high.searchsorted(at)
        timed = highs.take(which) >= 0
        at, which = at[timed], which[timed]
        word = upper.take(at)
        t = (highs.take(which) << 6) | (word >> np.uint32(22) & np.uint32(0x3F)).astype(np.int64)
        x = (word >> np.uint32(11) & np.uint32(0x7FF)).astype(np.uint16)
        y = (word & np.uint32(0x7FF)).astype(np.uint16)
        p = kind.take(at) == _ON
        if not self._vectors:
            return t, x, y, p
        valid = lower.take(at).astype("<u4").view(np.uint8)
        bit = np.flatnonzero(np.unpackbits(valid, bitorder="little"))
        source = bit >> 5
        x = x.take(source) + (bit & 31).astype(np.uint16)
        return t.take(source), x, y.take(source), p.take(source)

    def _words(self, data: np.ndarray, order: str) -> tuple[np.ndarray, np.ndarray]:
        """The upper and lower halves of the words, uint32 (n,); 2.0 has none but upper ones."""
        halves = data.view(order + "u4").astype(np.uint32, copy=False)
        if not self._vectors:
            return halves, halves
        first, second = halves[0::2], halves[1::2]
        if self._upper_first is None:
            self._upper_first = _is_upper_first(first, second)
        known = self._upper_first
        return (first, second) if (order == ">" if known is None else known) else (second, first)

    def _highs(self, values: np.ndarray) -> np.ndarray:
        """The upper bits of the time before the first and after each word that sets them, int64."""
        highs = np.empty(len(values) + 1, np.int64)
        highs[0], highs[1:] = self._high, values
        if len(values):
            begin = 1 if self._high < 0 else 0
            base = highs[begin] & -_LOOP
            highs[1:] += base
            loops = np.diff(highs[begin:] & (_LOOP - 1)) < -(_LOOP // 2)
            highs[begin + 1 :] += np.cumsum(loops) * _LOOP
            self._high = int(highs[-1])
        return highs


def _is_upper_first(first: np.ndarray, second: np.ndarray) -> bool | None:
    """Which halves of the words come first: IMX636 sends the upper one so, GenX320 the lower one.

    Words of time tell: nothing but time is in their upper half, and nothing in their lower one.
    None where there is none.
    """
    upper = int(np.sum((first >> np.uint32(28) == _TIME_HIGH) & (second == 0)))
    lower = int(np.sum((second >> np.uint32(28) == _TIME_HIGH) & (first == 0)))
    return None if upper == lower else upper > lower
