"""Streams of 16-bit words that say of an event only what changed: EVT3 and libcaer_cmp.

A word has its type in its upper four bits and twelve bits of payload. Both formats are the same
machine with other numbers: a *line* address (EVT3: y), then single events or vectors of events
along the line (EVT3: x), and a time of 24 bits in microseconds in two halves. EVT3 as defined in
Prophesee's "EVT 3.0 Format"; libcaer_cmp as event_camera_codecs defines it for EventPackets, where
the line is x and vectors run along y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_NONE, _LINE, _SINGLE, _BASE, _TWELVE, _EIGHT, _LOW, _HIGH = range(8)
_LOOP = 1 << 24
_EMPTY = np.zeros(0, np.int64)


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
        self._base_polarity = 0
        self._high = 0
        self._low = 0
        self._loops = 0
        self._timed = False

    def decode(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Events of the words, uint16 (n,): time int64 us, line, position uint16, polarity bool.

        The time starts at 0 and goes on over loops of its 24 bits. Events before the first
        EVT_TIME_HIGH have no time and are left out.
        """
        if not self._dialect.loops:
            self._high = self._low = self._loops = 0
            self._timed = True
        kinds = self._dialect.kinds[words >> 12]
        at_time = np.flatnonzero(kinds >= _LOW)
        timed_before = self._timed
        times = self._times(words[at_time], kinds[at_time])
        at = np.flatnonzero((kinds == _SINGLE) | (kinds == _TWELVE) | (kinds == _EIGHT))
        if not timed_before:
            first = at_time[kinds[at_time] == _HIGH][:1]
            at = at[at > first[0]] if len(first) else at[:0]
        lines = self._lines(words, kinds, at)
        position, polarity, source = self._positions(words, kinds, at)
        t = times[np.searchsorted(at_time, at)]
        if source is not None:
            t, lines = t[source], lines[source]
        return t, lines, position, polarity

    def _times(self, words: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """The time before the first and after each of the words that set it, int64 (n + 1,) us."""
        before = ((self._loops << 24) | (self._high << 12)) + self._low
        if len(words) == 0:
            return np.array([before], np.int64)
        payload = (words & 0xFFF).astype(np.int64)
        is_high = kinds == _HIGH
        highs = np.empty(int(np.count_nonzero(is_high)) + 1, np.int64)
        highs[0] = self._high
        highs[1:] = payload[is_high]
        steps = highs[1:] - highs[:-1]
        if not self._timed:
            steps[:1] = 1
        # A small step back is noise of the sensor, a large one the beginning of the next loop.
        loops = np.zeros(len(highs), np.int64)
        loops[0] = self._loops
        if self._dialect.loops:
            loops[1:] = self._loops + np.cumsum(steps < -2048)
        which = np.cumsum(is_high)
        low = payload
        if is_high.any():
            low = self._lows(payload, is_high, steps)
        times = np.empty(len(words) + 1, np.int64)
        times[0] = before
        times[1:] = ((loops << 24) | (highs << 12))[which] + low
        self._timed = self._timed or len(highs) > 1
        self._high, self._loops, self._low = int(highs[-1]), int(loops[-1]), int(low[-1])
        return times

    def _lows(self, payload: np.ndarray, is_high: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """The lower half of the time after each time word.

        A new upper half begins with a lower half of 0; a repeated one leaves it as it is.
        """
        sets = ~is_high
        value = payload.copy()
        if self._dialect.loops:
            changes = np.zeros(len(payload), bool)
            changes[is_high] = steps != 0
            value[changes] = 0
            sets |= changes
        known = np.concatenate([np.array([self._low]), value[sets]])
        return known[np.cumsum(sets)]

    def _lines(self, words: np.ndarray, kinds: np.ndarray, at: np.ndarray) -> np.ndarray:
        at_line = np.flatnonzero(kinds == _LINE)
        lines = np.empty(len(at_line) + 1, np.uint16)
        lines[0] = self._line
        lines[1:] = words[at_line] & 0x7FF
        self._line = int(lines[-1])
        return lines[np.searchsorted(at_line, at)]

    def _positions(
        self, words: np.ndarray, kinds: np.ndarray, at: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Positions and polarities of all events, and the event word each comes from.

        The last is None where every event word is one event.
        """
        word, kind = words[at], kinds[at]
        vectors = (kinds >= _BASE) & (kinds <= _EIGHT)
        if not vectors.any():
            return word & 0x7FF, (word & 0x800) != 0, None
        at_base = np.flatnonzero(kinds == _BASE)
        advance = np.array([0, 0, 0, 0, 12, 8, 0, 0])[kinds]
        total = np.cumsum(advance)
        bases = np.empty(len(at_base) + 1, np.int64)
        bases[0] = self._base
        bases[1:] = (words[at_base] & 0x7FF) - total[at_base]
        polarities = np.empty(len(at_base) + 1, bool)
        polarities[0] = self._base_polarity
        polarities[1:] = (words[at_base] & 0x800) != 0
        self._base = int(bases[-1] + total[-1])
        self._base_polarity = int(polarities[-1])
        single = kind == _SINGLE
        which = np.searchsorted(at_base, at)
        start = np.where(single, word & 0x7FF, bases[which] + total[at] - advance[at])
        polarity = np.where(single, (word & 0x800) != 0, polarities[which])
        valid = np.where(single, 1, np.where(kind == _TWELVE, word & 0xFFF, word & 0xFF))
        bits = np.unpackbits(valid.astype("<u2").view(np.uint8), bitorder="little")
        bit = np.flatnonzero(bits)
        source = bit >> 4
        return (start[source] + (bit & 15)).astype(np.uint16), polarity[source], source
