"""The stamp of a message as DDS carries it, read and set without its class."""

from __future__ import annotations

import struct

STAMP_OFFSET = 4
"""Bytes before header.stamp in CDR: the encapsulation (OMG DDSI-RTPS, 10.2.1.2)."""


def restamp(cdr: bytes, stamp: int) -> bytes:
    """The serialized message with `header.stamp` = `stamp` (ns); its first field is a Header."""
    moved = struct.pack(_order(cdr) + "iI", *divmod(stamp, 1_000_000_000))
    return cdr[:STAMP_OFFSET] + moved + cdr[STAMP_OFFSET + 8 :]


def header_stamp(cdr: bytes) -> int:
    """`header.stamp` in ns of a serialized message whose first field is a Header."""
    seconds, nanoseconds = struct.unpack_from(_order(cdr) + "iI", cdr, STAMP_OFFSET)
    return seconds * 1_000_000_000 + nanoseconds


def _order(cdr: bytes) -> str:
    return "<" if cdr[1] & 1 else ">"
