"""What of an H.264 stream says that a picture was lost: ITU-T H.264, 7.3 (syntax) and 7.4.3.

Decoders guess what is lost and go on without a word. Pictures that others refer to are numbered,
though, so that a gap shows, and what follows it up to the next key frame is not to be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice, pairwise

from any2seg_ros.types import InvalidMeasurement

_START = re.compile(rb"\x00\x00\x01")
_SLICE, _KEY, _SPS, _PPS = 1, 5, 7, 8
_HIGH = (44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244)
"""Profiles whose parameters begin with those of the colours."""
_HEAD = 64
"""Bytes of a unit that are looked at."""
_UNITS = 2000
"""Units of a packet at most: a picture in slices of one line of blocks has some hundred."""
_PARAMETERS = 1 << 16
"""Bytes of the parameters of a stream at most."""


def units(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, whether others refer to it (0 to 3), and the bytes of each unit of Annex B data.

    InvalidMeasurement for more units than any encoder writes.
    """
    starts = [found.end() for found in islice(_START.finditer(data), _UNITS + 1)]
    if len(starts) > _UNITS:
        raise InvalidMeasurement(f"video packet has more than {_UNITS} units")
    for begin, end in pairwise([*starts, len(data) + 3]):
        if begin < len(data):
            head = data[begin]
            yield head & 31, head >> 5 & 3, data[begin + 1 : end - 3]


class PictureNumbers:
    """Watches the numbers of the pictures of one stream, packet by packet."""

    def __init__(self) -> None:
        self.parameters = b""
        """The stream's parameters, as units with their start codes; empty before they came."""
        self._bits: int | None = None
        self._last: int | None = None

    def lost(self, data: bytes) -> bool:
        """Whether pictures are missing between the last packet and this one, Annex B.

        InvalidMeasurement as in `units`, and for parameters that are larger than any.
        """
        sps = pps = b""
        lost = False
        for kind, refers, unit in units(data):
            if kind == _SPS:
                sps += b"\x00\x00\x00\x01" + bytes([refers << 5 | kind]) + unit
                self._bits = _number_bits(unit)
            elif kind == _PPS:
                pps += b"\x00\x00\x00\x01" + bytes([refers << 5 | kind]) + unit
            elif kind == _KEY:
                self._last = 0
            elif kind == _SLICE and self._bits:
                lost |= self._gap(unit, refers)
            if len(sps) + len(pps) > _PARAMETERS:
                raise InvalidMeasurement(f"video has more than {_PARAMETERS} bytes of parameters")
        if sps:
            self.parameters = sps + pps
        return lost

    def _gap(self, unit: bytes, refers: int) -> bool:
        bits = _Bits(unit[:_HEAD])
        for _ in range(3):  # first macroblock, type of the slice, parameters
            bits.golomb()
        assert self._bits is not None
        number, modulus = bits.take(self._bits), 1 << self._bits
        last = self._last
        if refers or last is None:
            self._last = number
        return last is not None and number not in (last, (last + 1) % modulus)


def _number_bits(sps: bytes) -> int | None:
    """How many bits a picture's number has; None where the parameters are not understood."""
    if len(sps) < 4:
        return None
    profile, bits = sps[0], _Bits(sps[3 : 3 + _HEAD])
    bits.golomb()
    if profile in _HIGH:
        separate = bits.golomb() == 3 and bits.take(1)
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1) or separate:  # scaling lists, planes of their own: rare, and long to read
            return None
    found = bits.golomb() + 4
    return found if found <= 16 else None


class _Bits:
    """Reads bits and Exp-Golomb codes (9.1) of a unit."""

    def __init__(self, unit: bytes) -> None:
        plain = unit.replace(b"\x00\x00\x03", b"\x00\x00")  # emulation prevention, 7.4.1
        self._bits = "".join(f"{byte:08b}" for byte in plain)
        self._at = 0

    def take(self, count: int) -> int:
        word = self._bits[self._at : self._at + count]
        self._at += count
        return int(word or "0", 2)

    def golomb(self) -> int:
        end = self._bits.find("1", self._at)
        zeros = max(0, end - self._at)
        self._at += zeros
        return self.take(zeros + 1) - 1 if zeros < 32 else 0
