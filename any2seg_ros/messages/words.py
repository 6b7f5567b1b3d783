"""Streams of 16-bit words that say of an event only what changed: EVT3 and libcaer_cmp.

A word has its type in its upper four bits and twelve bits of payload. Both formats are the same
machine with other numbers: a *line* address (EVT3: y), then single events or vectors of events
along the line (EVT3: x), and a time of 24 bits in microseconds in two halves. EVT3 as defined in
Prophesee's "EVT 3.0 Format"; libcaer_cmp as event_camera_codecs defines it for EventPackets, where
the line is x and vectors run along y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# In this order, words that are events are the last ones.
_NONE, _LINE, _BASE, _LOW, _HIGH, _SINGLE, _TWELVE, _EIGHT = range(8)
_ADVANCE = np.array([0, 0, 0, 0, 0, 0, 12, 8])
_VALID = np.array([(1 << bits) - 1 for bits in range(13)], np.uint16)


@dataclass(frozen=True, eq=False)
class Dialect:
    """What the sixteen types of words mean in one format."""

    kinds: np.ndarray
    """Meaning of each type, uint8 (16,)."""
    loops: bool
    """Whether the time goes on over packets, starting anew every 2^24 us."""


def _dialect(loops: bool, **types: int) -> Dialect:
    kinds = np.zeros(16, np.uint8)
    for meaning, number in types.items():
        kinds[number] = globals()["_" + meaning.upper()]
    return Dialect(kinds, loops)


EVT3 = _dialect(True, line=0x0, single=0x2, base=0x3, twelve=0x4, eight=0x5, low=0x6, high=0x8)
LIBCAER_CMP = _dialect(False, high=0x0, low=0x1, line=0x2, single=0x3, base=0x4, eight=0x5)


class WordDecoder:
    """Decodes packets of one stream in their order; state is kept from packet to packet."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next packet may be of another one."""
        self._line = 0
        self._base = 0
        self._base_polarity = False
        self._high = 0
        self._low = 0
        self._loops = 0
        self._timed = False

    def decode(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Events of the words, uint16 (n,): time int64 us, line, position uint16, polarity bool.

        The time starts at 0 and goes on over loops of its 24 bits. Events before the first
        EVT_TIME_HIGH have no time and are left out.
        """
        return self.decode_parts(words, [len(words)])[:4]

    def decode_parts(
        self, words: np.ndarray, ends: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """As `decode`, and how many events come from the words before each of `ends`."""
        if not self._dialect.loops:
            self._high = self._low = self._loops = 0
            self._timed = True
        kinds = self._dialect.kinds.take(words >> 12)
        counts = np.bincount(kinds, minlength=8)
        at = (kinds >= _SINGLE).nonzero()[0]
        at_high = self._new_highs(words, kinds) if counts[_HIGH] else []
        if not self._timed:
            at = at[at > at_high[0]] if at_high else at[:0]
        at_time = (kinds == _LOW).nonzero()[0]
        if at_high:
            at_time = np.sort(np.concatenate([at_time, at_high]))
        times = self._times(words.take(at_time), at_time.searchsorted(at_high).tolist())
        lines = self._lines(words, kinds, at)
        t = times.take(at_time.searchsorted(at))
        if counts[_BASE] or counts[_TWELVE] or counts[_EIGHT]:
            position, polarity, source = self._vectors(words, kinds, at)
            counts = source.searchsorted(at.searchsorted(ends))
            return t.take(source), lines.take(source), position, polarity, counts
        word = words.take(at)
        return t, lines, word & 0x7FF, (word & 0x800).astype(bool), at.searchsorted(ends)

    def _new_highs(self, words: np.ndarray, kinds: np.ndarray) -> list[int]:
        """Where the upper half of the time changes: sensors repeat it many times over."""
        at = (kinds == _HIGH).nonzero()[0]
        values = words.take(at) & 0xFFF
        changes = np.empty(len(at), bool)
        changes[0] = values[0] != self._high or not self._timed
        np.not_equal(values[1:], values[:-1], out=changes[1:])
        return at[changes].tolist()

    def _times(self, words: np.ndarray, highs: list[int]) -> np.ndarray:
        """The time before the first and after each of the words that set it, int64 (n + 1,) us.

        `highs` are the positions of new upper halves among these words. A new upper half begins
        with a lower half of 0 in EVT3, and leaves it as it is in libcaer_cmp.
        """
        times = np.empty(len(words) + 1, np.int64)
        times[0] = self._upper() + self._low
        np.bitwise_and(words, 0xFFF, out=times[1:])
        begin = 1
        for high in highs:
            value = int(times[high + 1])
            self._pass(times[begin : high + 1])
            # A small step back is noise of the sensor, a large one the beginning of the next loop.
            if self._dialect.loops:
                self._loops += self._timed and value - self._high < -2048
                self._low = 0
            self._high, self._timed = value, True
            times[high + 1] = self._upper() + self._low
            begin = high + 2
        self._pass(times[begin:])
        return times

    def _upper(self) -> int:
        return (self._loops << 24) | (self._high << 12)

    def _pass(self, lows: np.ndarray) -> None:
        """Completes lower halves of the time by the present upper half, in place."""
        if len(lows):
            self._low = int(lows[-1])
            lows += self._upper()

    def _lines(self, words: np.ndarray, kinds: np.ndarray, at: np.ndarray) -> np.ndarray:
        at_line = (kinds == _LINE).nonzero()[0]
        lines = np.empty(len(at_line) + 1, np.uint16)
        lines[0] = self._line
        np.bitwise_and(words.take(at_line), 0x7FF, out=lines[1:])
        self._line = int(lines[-1])
        return lines.take(at_line.searchsorted(at))

    def _vectors(
        self, words: np.ndarray, kinds: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions and polarities of all events, and the event word that each comes from."""
        at_base = (kinds == _BASE).nonzero()[0]
        base_words = words.take(at_base)
        advance = _ADVANCE.take(kinds)
        total = advance.cumsum()
        bases = np.empty(len(at_base) + 1, np.int64)
        bases[0] = self._base
        np.subtract(base_words & 0x7FF, total.take(at_base), out=bases[1:])
        polarities = np.empty(len(at_base) + 1, bool)
        polarities[0] = self._base_polarity
        polarities[1:] = base_words & 0x800
        self._base = int(bases[-1] + total[-1])
        self._base_polarity = bool(polarities[-1])
        word = words.take(at)
        advanced = advance.take(at)
        single = advanced == 0
        which = at_base.searchsorted(at)
        start = np.where(single, word & 0x7FF, bases.take(which) + total.take(at) - advanced)
        polarity = np.where(single, (word & 0x800).astype(bool), polarities.take(which))
        valid = word & _VALID.take(advanced)
        valid[single] = 1
        bits = np.unpackbits(valid.astype("<u2", copy=False).view(np.uint8), bitorder="little")
        bit = bits.view(bool).nonzero()[0]
        source = bit >> 4
        position = start.take(source)
        position += bit & 15
        return position.astype(np.uint16), polarity.take(source), source
