"""What can be wrong with a lookup."""

from __future__ import annotations


class TransformException(Exception):
    """A lookup that failed."""


class ConnectivityException(TransformException):
    """Both frames are known, but no chain of transforms joins them."""


class LookupException(TransformException):
    """A frame that is not known."""


class ExtrapolationException(TransformException):
    """A time that the transforms do not reach."""


class InvalidArgumentException(TransformException):
    """A frame name that cannot be one."""


class TimeoutException(TransformException):
    """A time limit that ran out."""
