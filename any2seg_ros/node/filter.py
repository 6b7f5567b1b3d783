"""The synchronizer as a filter of message_filters, to be used in other nodes.

filter = FrameFilter({Modality.RGB: Subscriber(node, Image, "rgb/image"), ...})
filter.registerCallback(lambda frame: ...)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from message_filters import SimpleFilter

from any2seg_ros.messages import stamp_ns
from any2seg_ros.modalities import Frame, Modality
from any2seg_ros.synchronizer import Synchronizer, SynchronizerConfig

_DEFAULTS = SynchronizerConfig()


class FrameFilter(SimpleFilter):
    """Hands a Frame of messages to every callback, on the thread of the message that completed it.

    Inputs may be heard on several threads. Callbacks run outside the lock, and an exception in one
    reaches `failed` and nobody else: other callbacks and later Frames are not harmed. Call `poll`
    from a timer, so that Frames leave at their deadline when no message comes.
    """

    def __init__(
        self,
        inputs: Mapping[Modality, SimpleFilter],
        config: SynchronizerConfig = _DEFAULTS,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        super().__init__()
        self.synchronizer = Synchronizer(config)
        self._failed = failed or (lambda error: None)
        self._lock = threading.Lock()
        self.connectInput(inputs)

    def connectInput(self, inputs: Mapping[Modality, SimpleFilter]) -> None:
        """Listen to one filter for each modality; messages have a header."""
        self.inputs = dict(inputs)
        for modality, source in self.inputs.items():
            source.registerCallback(self._take, modality)

    def poll(self) -> None:
        """Let Frames leave whose deadline has come."""
        with self._lock:
            frames = self.synchronizer.poll(time.monotonic_ns())
        self._hand_out(frames)

    def _take(self, message: Any, modality: Modality) -> None:
        stamp = stamp_ns(message.header.stamp)
        with self._lock:
            frames = self.synchronizer.add(modality, stamp, message, time.monotonic_ns())
        self._hand_out(frames)

    def _hand_out(self, frames: list[Frame]) -> None:
        for frame in frames:
            for callback, arguments in list(self.callbacks.values()):
                try:
                    callback(frame, *arguments)
                except Exception as error:
                    self._failed(error)
