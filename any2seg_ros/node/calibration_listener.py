"""Transforms between sensor frames, from /tf and /tf_static."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf2_ros
from rclpy.time import Time

from any2seg_ros.messages import transform_matrix


class CalibrationListener:
    """The newest transform between two frames, for `CalibrationTracker`; see its `Lookup`."""

    def __init__(self, node: Any) -> None:
        # Without the node: given one, it makes a service there that nothing takes away again.
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str) -> np.ndarray:
        """float64 (4, 4) that maps points of `source` to `target`; LookupError says what lacks."""
        try:
            found = self._buffer.lookup_transform(target, source, Time())
            return transform_matrix(found.transform)
        except (tf2_ros.TransformException, ValueError) as error:
            raise LookupError(str(error)) from None

    def forget(self) -> None:
        """Drop the transforms of a time that is over; static ones stay."""
        self._buffer.clear()

    def stop(self) -> None:
        """Listen to TF no more."""
        self._listener.unregister()
