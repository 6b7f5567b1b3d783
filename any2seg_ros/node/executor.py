"""The executor of the node: rclpy's for one thread, which looks for rare things rarely."""

from __future__ import annotations

import time
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.waitable import Waitable

LOOK_EVERY_S = 0.5
_LOOK_FOR_S = 0.02


class LeanExecutor(SingleThreadedExecutor):
    """Waits for QoS events of publishers and subscriptions a few times a second only.

    rclpy tells the middleware for each message anew what it waits for. Of the 68 things that the
    node has, 45 are handlers of such events: messages lost, QoS that does not fit.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._looked_at = -LOOK_EVERY_S
        self._looks = True

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Execute one callback, or wait `timeout_sec` for one."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
        self._looks = now - self._looked_at < _LOOK_FOR_S
        super().spin_once(timeout_sec)

    def can_execute(self, entity: Any) -> bool:
        """Whether to wait for an entity now."""
        if not self._looks and isinstance(entity, Waitable):
            return False
        return super().can_execute(entity)
