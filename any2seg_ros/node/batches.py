"""Packets that come a thousand times a second are taken many at a time: for each message that the
executor waits for, rclpy looks through all that the node has, which costs more than the message."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType

PERIOD_S = 0.01
"""s for which packets may lie with the middleware while no Frame waits for them."""
MOST = 300
"""Messages that are taken at once: what the middleware keeps of a subscription to packets."""
LONGEST_S = 0.003
"""Processor time (s) after which the executor gets its turn: a storm's packets may be large."""


class GatedGroup(CallbackGroup):
    """Has the executor wait for what is in it only while `is_open` says so.

    That is a subscription with the handlers of its events: where the executor waits for these
    alone, Fast DDS wakes it for each message nevertheless, and it finds nothing to do.
    """

    def __init__(self, is_open: Callable[[], bool]) -> None:
        super().__init__()
        self._is_open = is_open

    def can_execute(self, entity: Any) -> bool:
        """Whether the executor waits for it now."""
        return self._is_open()

    def beginning_execution(self, entity: Any) -> bool:
        """See CallbackGroup; only executors of several threads need more."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """See CallbackGroup."""


class Batches:
    """Takes the messages of one subscription, all that are there at a time.

    After a message the executor does not wait for the next one: what has come is taken after
    `PERIOD_S`, or with `take`, whichever is earlier. While nothing comes, or `wanted()`, the
    executor waits as usual. All on the executor's thread. message: gets each message. The
    subscription is made with `group` as its callback group.
    """

    def __init__(
        self, node: Any, wanted: Callable[[], bool], message: Callable[[Any], None]
    ) -> None:
        self.group = GatedGroup(lambda: not self._resting or self._wanted())
        self._node = node
        self._wanted = wanted
        self._message = message
        self._subscription: Any = None
        self._resting = False
        self._timer: Any = None

    def begin(self, subscription: Any) -> None:
        """Take the messages of this subscription, whose callback is `on_message`."""
        self._subscription = subscription
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(PERIOD_S, self._look, clock=steady)
        self._rest(False)

    def end(self) -> None:
        """Take no more; the subscription is destroyed by whoever made it."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._subscription = self._timer = None

    def on_message(self, msg: Any) -> None:
        """A message that the executor has taken; others may have come with it."""
        self._message(msg)
        self.take()
        if not self._resting:
            self._rest(True)

    def take(self) -> int:
        """Take what has come; how many messages that were."""
        subscription = self._subscription
        if subscription is None:
            return 0
        end = time.thread_time() + LONGEST_S
        for count in range(MOST):
            if time.thread_time() > end:
                return count
            with subscription.handle:
                taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is None:
                return count
            self._message(taken[0])
        return MOST

    def open(self) -> None:
        """Have the executor wait once, for the events of the subscription as well."""
        if self._timer is not None:
            self._rest(False)

    def _look(self) -> None:
        if not self.take():
            self._rest(False)

    def _rest(self, resting: bool) -> None:
        self._resting = resting
        if resting:
            self._timer.reset()
        else:
            self._timer.cancel()
