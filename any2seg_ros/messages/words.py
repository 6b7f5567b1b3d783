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

from any2seg_ros.loops import compiled

_NONE, _LINE, _BASE, _LOW, _HIGH, _SINGLE, _TWELVE, _EIGHT = range(8)
_STEP_BACK = -2048
"""A smaller step of the upper time back is noise of the sensor, a larger one begins the next loop
of its 24 bits."""


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
        self._state = np.zeros(7, np.int64)

    def __deepcopy__(self, memo: object) -> WordDecoder:
        copied = WordDecoder(self._dialect)
        copied._state[:] = self._state
        return copied

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
            self._state[_TIME:] = 0, 0, 0, 1
        # The loops are compiled once for each kind of array: bytes that are only read are copied.
        words = np.require(words, np.uint16, ("C", "W"))
        most = _count(words, self._dialect.kinds)
        t, polarity = np.empty(most, np.int64), np.empty(most, np.bool_)
        line, position = np.empty(most, np.uint16), np.empty(most, np.uint16)
        counts = np.empty(len(ends), np.int64)
        given = np.asarray(ends, np.int64)
        kinds, loops, state = self._dialect.kinds, self._dialect.loops, self._state
        made = _decode(words, kinds, loops, state, given, counts, t, line, position, polarity)
        return t[:made], line[:made], position[:made], polarity[:made], counts


# The state of a stream: address of the line, base and polarity of vectors, then the time.
_TIME = 3


@compiled
def _count(words: np.ndarray, kinds: np.ndarray) -> int:
    """Events in words uint16 (n,), those without a time among them."""
    count = 0
    for word in words:
        kind = kinds[word >> 12]
        if kind == _SINGLE:
            count += 1
        elif kind > _SINGLE:
            bits = word & (0xFFF if kind == _TWELVE else 0xFF)
            while bits:
                bits &= bits - 1
                count += 1
    return count


@compiled
def _decode(
    words: np.ndarray,
    kinds: np.ndarray,
    loops: bool,
    state: np.ndarray,
    ends: np.ndarray,
    counts: np.ndarray,
    t: np.ndarray,
    line: np.ndarray,
    position: np.ndarray,
    polarity: np.ndarray,
) -> int:
    """Fills t, line, position, polarity and `counts`, goes on from `state`; how many events."""
    y, base, base_polarity, high, low, passed, timed = state
    made = part = 0
    for index in range(len(words)):
        while part < len(ends) and ends[part] <= index:
            counts[part] = made
            part += 1
        word = np.int64(words[index])
        kind = kinds[word >> 12]
        if kind == _LINE:
            y = word & 0x7FF
        elif kind == _BASE:
            base, base_polarity = word & 0x7FF, word & 0x800
        elif kind == _LOW:
            low = word & 0xFFF
        elif kind == _HIGH:
            # Sensors repeat it many times over. A new one begins with a lower half of 0 in EVT3,
            # and leaves it as it is in libcaer_cmp.
            value = word & 0xFFF
            if value != high or not timed:
                if loops:
                    passed += timed and value - high < _STEP_BACK
                    low = 0
                high, timed = value, 1
        elif kind >= _SINGLE:
            first, bits, shown = base, word & 0xFFF, base_polarity
            if kind == _SINGLE:
                first, bits, shown = word & 0x7FF, np.int64(1), word & 0x800
            elif kind == _TWELVE:
                base += 12
            else:
                bits &= 0xFF
                base += 8
            while bits and timed:
                if bits & 1:
                    t[made] = passed << 24 | high << 12 | low
                    line[made], position[made] = y, first & 0xFFFF
                    polarity[made] = shown != 0
                    made += 1
                bits >>= 1
                first += 1
    counts[part:] = made
    state[:] = y, base, base_polarity, high, low, passed, timed
    return made
