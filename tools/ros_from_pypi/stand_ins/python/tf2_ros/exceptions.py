"""Exceptions of lookups."""

from __future__ import annotations


class TransformException(Exception):
    """A failed lookup."""


class ConnectivityException(TransformException):
    """Both frames are known, but not connected."""


class LookupException(TransformException):
    """An unknown frame."""


class ExtrapolationException(TransformException):
    """A time that the transforms do not reach."""


class InvalidArgumentException(TransformException):
    """A frame name that cannot be one."""


class TimeoutException(TransformException):
    """A time limit that ran out."""
