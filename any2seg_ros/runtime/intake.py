"""From a message to the Frames that leave the synchronizer, for vehicle, replay and training.

Whoever hears messages, rclpy or the reader of a bag, hands them over here. What cannot be used is
refused with a reason, and the other sensors go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from any2seg_ros import messages
from any2seg_ros.preprocessing import HealthConfig
from any2seg_ros.runtime.calibration import CalibrationTracker, frame_of
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.pipeline import Preparation, Received, is_picture, last_of
from any2seg_ros.runtime.sensor_buffer import NOT_IN_WINDOW
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.runtime.transform_history import TransformHistory
from any2seg_ros.types import (
    LONGEST_REASON,
    Frame,
    InvalidMeasurement,
    Modality,
    Trajectory,
    plain,
)

_RECENT = 2_000_000_000
"""ns within which two messages have come for their stamps to be compared."""
_APART = 1_000_000_000
"""ns by which two stamps differ more than their arrivals where clocks differ: no message is as
late."""

_MANY_PACKETS = 32
"""Event packets that wait for decoding until that is worth a turn of the other thread."""

Clock = Callable[[int], "int | None"]
"""Of an arrival in ns: what the clock that makes the stamps showed then, in ns; None leaves out the
checks against it."""

Refused = Callable[[Modality, str, int], None]
"""Told of a message that cannot be used: its sensor, the reason, and its arrival in ns."""

Waiting = Callable[["Frame | None"], None]
"""Told of a Frame that still waits for some sensors, with the measurements that it has for certain;
with None, of many packets of events or video that wait for decoding."""


class Intake:
    """Belongs to the thread that hears messages. Each Frame takes its `Calibration` along.

    on_refused is told of every message that is refused, on_reset of stamps that jumped backwards,
    on_waiting of what can be made ready while a Frame waits. history: of the transforms, where
    Frames are to take the vehicle's motion along.
    """

    def __init__(
        self,
        preparation: Preparation,
        synchronizer: Synchronizer,
        tracker: CalibrationTracker,
        monitors: Mapping[Modality, Monitor],
        clock: Clock,
        on_refused: Refused,
        on_reset: Callable[[], None] = lambda: None,
        history: TransformHistory | None = None,
        on_waiting: Waiting | None = None,
    ) -> None:
        self.synchronizer = synchronizer
        self.tracker = tracker
        self._preparation = preparation
        self._monitors = monitors
        self._clock = clock
        self._on_refused = on_refused
        self._on_reset = on_reset
        self._history = history
        self._on_waiting = on_waiting
        self._last: dict[Modality, tuple[int, int]] = {}
        """By sensor: stamp with its offset, and arrival, of its last good message."""
        self._heard: dict[Modality, tuple[int, int]] = {}
        """By sensor: stamp with its offset of its last message, good or not, and the clock then."""

    def on_message(self, modality: Modality, msg: Any, arrival: int) -> list[Frame]:
        """The Frames that leave with this message; their measurements are `Received`s.

        arrival: ns of a steady clock.
        """
        self._monitors[modality].on_message(arrival)
        frames = self._frames(modality, msg, arrival)
        if self._on_waiting is not None and not frames:  # what leaves is made first
            self._tell_waiting(self._on_waiting)
        return frames

    def _frames(self, modality: Modality, msg: Any, arrival: int) -> list[Frame]:
        try:
            received = self._receive(modality, msg, arrival)
        except InvalidMeasurement as reason:
            return self.refuse(modality, str(reason), arrival)
        except Exception as error:  # a sensor's broken message must not cost the others theirs
            text = f"cannot be read: {type(error).__name__}: {error}"
            return self.refuse(modality, plain(text, LONGEST_REASON), arrival)
        self._monitors[modality].stamp = received.stamp
        self._last[modality] = received.stamp + self._offset(modality), arrival
        resets = self.synchronizer.counters.resets
        frames = self.synchronizer.add(modality, received.stamp, received, arrival)
        if self.synchronizer.counters.resets > resets:
            self._forget()
            self._on_reset()
        return self._calibrated(frames)

    def _tell_waiting(self, tell: Waiting) -> None:
        # Where the vehicle goes until the Frame's stamp is known when it leaves.
        certain = self.synchronizer.certain() if self._history is None else None
        if certain is not None:
            tell(replace(certain, calibration=self.tracker.current))
            return
        preparation = self._preparation
        if preparation.stream.waiting >= _MANY_PACKETS or preparation.video.spare:
            tell(None)

    def on_undecodable(self, modality: Modality, reason: str, arrival: int) -> list[Frame]:
        """Count a message that nobody could read as one that was refused; arrival: ns."""
        self._monitors[modality].on_message(arrival)
        return self.refuse(modality, reason, arrival)

    def on_camera_info(self, modality: Modality, msg: Any, arrival: int) -> None:
        """Take a CameraInfo; one that is not calibrated counts as a refused message."""
        try:
            self.tracker.on_camera_info(modality, msg, arrival)
        except InvalidMeasurement as reason:
            self._on_refused(modality, str(reason), arrival)
        except Exception as error:
            text = f"camera_info cannot be read: {type(error).__name__}: {error}"
            self._on_refused(modality, plain(text, LONGEST_REASON), arrival)

    def poll(self, now: int) -> list[Frame]:
        """The Frames whose deadline has come; now: ns of the steady clock."""
        return self._calibrated(self.synchronizer.poll(now))

    def flush(self) -> list[Frame]:
        """All pending Frames, as at the end of a bag."""
        return self._calibrated(self.synchronizer.flush())

    def reset(self) -> None:
        """Begin anew after a jump of the clock; cameras and poses stay."""
        self.synchronizer.reset()
        self._forget()

    def _forget(self) -> None:
        self._last.clear()
        self._heard.clear()
        self.tracker.forget()
        self._preparation.reset()

    def _receive(self, modality: Modality, msg: Any, arrival: int) -> Received:
        msg = messages.with_header(msg)
        now = self._clock(arrival)
        stamp = messages.stamp_ns(msg.header.stamp)
        if stamp <= 0:
            raise InvalidMeasurement("stamp is zero")
        self._check_future(modality, stamp, now)
        if now is not None:
            self._check_others(modality, stamp + self._offset(modality), now)
        if modality != Modality.LIDAR:
            size = messages.image_size(msg)
            if size is not None:
                self.tracker.on_image_size(modality, size)
        packet = modality == Modality.EVENT and not is_picture(msg)
        # Decoders keep state: a packet is part of the stream even if it is refused below.
        body: Any = msg
        if packet:
            body = self._preparation.stream.add(msg, arrival)
        elif messages.is_video(msg):
            body = self._preparation.video.add(msg)
        self.tracker.locate(modality, frame_of(msg), arrival)
        return Received(stamp, arrival, msg.header, body, now)

    def _check_future(self, modality: Modality, stamp: int, now: int | None) -> None:
        config = self._preparation.config
        limit = config.health.get(modality, HealthConfig()).future
        if now is None or not limit:
            return
        ahead = (stamp - now + self._offset(modality)) * 1e-9
        if ahead > limit:
            raise InvalidMeasurement(f"stamp is in the future by {ahead:.2f} s")

    def _check_others(self, modality: Modality, stamp: int, now: int) -> None:
        """Refuse a clock that differs from all others', which agree: else an anchor takes them all.

        Where all clocks jump, at most two messages are refused, and the others follow.
        """
        self._heard[modality] = stamp, now
        others = [
            (own - stamp, own - stamp - (came - now))
            for m, (own, came) in self._heard.items()
            if m != modality and abs(now - came) < _RECENT
        ]
        apart = [between for _, between in others]
        # Both: sensors may have ended a while ago, and a bag may be played slowly.
        if len(others) < 2 or min(abs(one) for pair in others for one in pair) < _APART:
            return
        if max(apart) - min(apart) < _APART:
            least = min(apart, key=abs)
            raise InvalidMeasurement(
                f"clock differs by {abs(least) * 1e-9:.1f} s from those of all other sensors"
            )

    def refuse(self, modality: Modality, reason: str, arrival: int) -> list[Frame]:
        """Frames without the sensor say the reason, until a message of it is taken again.

        Returns those that leave: where the anchor is refused, the next sensor triggers.
        """
        self._on_refused(modality, reason, arrival)
        return self._calibrated(self.synchronizer.refuse(modality, reason, arrival))

    def _calibrated(self, frames: list[Frame]) -> list[Frame]:
        calibration = self.tracker.current
        return [
            replace(
                frame,
                calibration=calibration,
                reasons=self._explained(frame),
                trajectory=self._trajectory(frame),
            )
            for frame in frames
        ]

    def _trajectory(self, frame: Frame) -> Trajectory | None:
        """The motion around the stamps of a frame's measurements."""
        if self._history is None:
            return None
        stamps = [frame.stamp]
        for modality, entry in frame.measurements.items():
            stamps.append(last_of(entry).stamp + self._offset(modality))
        tracker = self.tracker
        return self._history.trajectory(
            tracker.current.reference_frame, min(stamps), max(stamps), tracker.camera_from_rectified
        )

    def _doubts(self, frame: Frame) -> dict[Modality, str]:
        """What is wrong with the calibration of sensors that are used nevertheless."""
        if frame.anchor not in self._last:
            return {}
        said = self.tracker.warnings(self._last[frame.anchor][1])
        return {m: text for m, text in said.items() if m in frame.measurements}

    def _offset(self, modality: Modality) -> int:
        return round(self._preparation.config.offset_s.get(modality, 0.0) * 1e9)

    def _explained(self, frame: Frame) -> Mapping[Modality, str]:
        """The reasons of a frame, and of clocks that differ where that is why a sensor lacks."""
        lacking = [m for m, reason in frame.reasons.items() if reason == NOT_IN_WINDOW]
        doubts = self._doubts(frame)
        if not (lacking or doubts) or frame.anchor not in self._last:
            return frame.reasons
        stamp, arrival = self._last[frame.anchor]
        reasons = {**doubts, **frame.reasons}
        for modality in lacking:
            own, came = self._last.get(modality, (0, -_RECENT))
            apart = (own - stamp) - (came - arrival)
            if abs(came - arrival) < _RECENT and abs(apart) >= _APART:
                reasons[modality] = (
                    f"clock differs by {abs(apart) * 1e-9:.1f} s from {frame.anchor.label}'s"
                )
        return reasons
