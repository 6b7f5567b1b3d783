"""An executor that tells of messages that arrived and could not be decoded.

The middleware drops them, and says so on stderr alone: a driver that was built with another version
of a message looks like one that is silent. What rclpy sees is a subscription that is ready and has
nothing to take. With Fast DDS nothing else looks so: not a queue that overflows, and not publishers
that come and go. What comes at once is dropped at once and counts as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from any2seg_ros.node.batches import GatedGroup
from any2seg_ros.node.executor import LeanExecutor


class TellingExecutor(LeanExecutor):
    """Calls `on_undecodable` with the topic of each such message, on the executor's thread."""

    def __init__(self, on_undecodable: Callable[[str], None], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._on_undecodable = on_undecodable

    def _take_subscription(self, sub: Any) -> Any:
        """rclpy's own since Humble; where a distribution calls it no more, nothing is told."""
        taken = super()._take_subscription(sub)
        # What is taken in batches may have been taken by then.
        batched = isinstance(sub.callback_group, GatedGroup)
        if taken is None and not batched and _exists(sub):
            self._on_undecodable(str(sub.topic_name))
        return taken


def _exists(sub: Any) -> bool:
    """Whether a subscription is not destroyed by now: then there is nothing to take, either."""
    try:
        with sub.handle:
            return True
    except Exception:  # InvalidHandle, which lies elsewhere in each distribution
        return False
