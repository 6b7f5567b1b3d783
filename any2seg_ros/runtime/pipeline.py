"""The Pipeline: from the messages of a Frame to a Segmentation, whatever became of the sensors.

messages (decode) -> preprocessing (health, modality images) -> engine (segment). The node and the
replay of a bag go the same way; training and evaluation on bags go it up to the images, the
Preparation. Nothing of ROS is imported: messages are known by their attributes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from any2seg_ros import messages
from any2seg_ros.engine import Segmenter
from any2seg_ros.messages.point_times import AUTO, NONE
from any2seg_ros.preprocessing import Health, HealthConfig, PreprocessingConfig, Preprocessor
from any2seg_ros.preprocessing.intensity import IntensityConfig, IntensityScale
from any2seg_ros.preprocessing.rgb import check_size
from any2seg_ros.runtime.decode_budget import DecodeBudget
from any2seg_ros.runtime.event_stream import EventLimits, EventStream, Packet
from any2seg_ros.runtime.motion_compensation import MotionCompensation
from any2seg_ros.runtime.video_stream import VideoPacket, VideoStream
from any2seg_ros.types import (
    LONGEST_REASON,
    Availability,
    Calibration,
    Camera,
    Events,
    Frame,
    InvalidMeasurement,
    Measurement,
    Modality,
    Segmentation,
    plain,
    subset_name,
)

EVENTS_OF = 100_000_000
"""A measurement of events, as far as `decode_budget` goes: what came in so long (ns)."""


class Received(NamedTuple):
    """A message as the synchronizer gets it.

    stamp: ns, of its header. arrival: ns of a steady clock. body: the message; of events, the
    Packet that it is in the stream. clock: ns, what the clock that made the stamp showed at its
    arrival, if that is known.
    """

    stamp: int
    arrival: int
    header: Any
    body: Any
    clock: int | None = None


@dataclass(frozen=True)
class PipelineConfig:
    """What the pipeline does besides what the network was trained with."""

    health: Mapping[Modality, HealthConfig] = field(
        default_factory=lambda: {modality: HealthConfig() for modality in Modality}
    )
    offset_s: Mapping[Modality, float] = field(default_factory=dict)
    """Added to a sensor's stamps, as the synchronizer does."""
    output_size: tuple[int, int] | None = None
    """(width, height) of the masks; None for the reference camera's."""
    intensity: IntensityConfig = IntensityConfig()
    """Which field of a cloud is its intensity, and its scale."""
    events: EventLimits = EventLimits()
    """What is taken of an event camera."""
    time_field: str = AUTO
    """The field of a cloud with its points' times, see `messages.point_times`."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A Frame whose measurements have become images.

    `frame` has the availability and the reasons after all checks, its measurements are
    `Measurement`s; `images` are what the network eats, none if nothing was usable.
    decode_s: how long it took.
    """

    frame: Frame
    images: Mapping[Modality, np.ndarray]
    received: Mapping[Modality, Received]
    anchor: Received | None
    decode_s: float

    @property
    def calibration(self) -> Calibration:
        """The geometry that the images were made with."""
        return self.frame.calibration


@dataclass(frozen=True, eq=False)
class Result(Prepared):
    """What became of one Frame; `segmentation` is None if nothing was usable.

    infer_s: how long segmenting took.
    """

    segmentation: Segmentation | None
    infer_s: float


@dataclass(frozen=True, eq=False)
class _Made:
    """What became of a measurement: an image, or the reason why there is none. `reason` may say
    of an image as well what is wrong with it."""

    measurement: Measurement | None = None
    image: np.ndarray | None = None
    reason: str = ""


class _Ahead(NamedTuple):
    """What was made of a sensor's measurement before its Frame left."""

    modality: Modality
    frame: Frame
    made: _Made

    def is_of(self, frame: Frame) -> bool:
        """Whether it is what that Frame has of the sensor, and as it is to be seen."""
        mine, other = (f.measurements.get(self.modality) for f in (self.frame, frame))
        if isinstance(mine, list) and isinstance(other, list):
            same = len(mine) == len(other) and all(map(is_, mine, other))
            same = same and self.frame.stamp == frame.stamp
        else:
            same = mine is other
        return same and _same_geometry(self.modality, self.frame.calibration, frame.calibration)


def _same_geometry(modality: Modality, one: Calibration, other: Calibration) -> bool:
    if one is other:
        return True
    return (
        one.reference == other.reference
        and one.camera_of(modality) == other.camera_of(modality)
        and np.array_equal(one.pose_of(modality), other.pose_of(modality))
    )


class Preparation:
    """Decodes, checks and preprocesses messages; `prepare` belongs to one thread.

    The geometry comes with each Frame. size: (width, height) of the modality images. `stream` gets
    event packets, and `video` those of a video, from the thread that hears messages.
    """

    def __init__(
        self,
        size: tuple[int, int],
        preprocessing: PreprocessingConfig,
        config: PipelineConfig = PipelineConfig(),
    ) -> None:
        self.size = size
        self.preprocessing = preprocessing
        self.config = config
        self.stream = EventStream(config.events)
        self.video = VideoStream()
        self._intensity = IntensityScale(config.intensity)
        self._intensity_warning = ""
        self._motion = MotionCompensation(preprocessing.lidar_minimum_range)
        self.budgets: Mapping[Modality, DecodeBudget] = {}
        """How long each sensor's decoding may take. None on a bag: it has no time to keep to."""
        self._event_s = 0.0
        """Processor time that events took since the last Frame, ahead of it or for it."""
        self._events_since = 0
        """When the first of them was decoded (ns, steady clock)."""
        self._learn_anew()
        self._reset_wanted = False
        self._preprocessor: Preprocessor | None = None
        self._warmed: tuple[Any, ...] = ()

    def _learn_anew(self) -> None:
        """Forget what is usual of each sensor, and what was made with that."""
        configs = self.config.health
        self._health = {m: Health(m, configs.get(m, HealthConfig())) for m in Modality}
        self._bits = {modality: messages.BitDepth() for modality in Modality}
        self._ahead: dict[Modality, _Ahead] = {}

    def configure(self, config: PipelineConfig) -> None:
        """Other checks from now on; what was usual is learned again."""
        if config.intensity != self.config.intensity:
            self._intensity = IntensityScale(config.intensity)
        self.config = config
        self._learn_anew()

    def reset(self) -> None:
        """Forget the past, as after a jump of time; the frame being prepared keeps it."""
        self.stream.reset()
        self.video.reset()
        self._reset_wanted = True

    @property
    def warnings(self) -> dict[Modality, str]:
        """What is wrong with a sensor that is used nevertheless, in words for people."""
        said = dict(self._motion.warnings)
        if self._intensity_warning:
            both = self._intensity_warning, said.get(Modality.LIDAR)
            said[Modality.LIDAR] = "; ".join(filter(None, both))
        return said

    @property
    def broken_packets(self) -> tuple[int, str]:
        """Event packets that could not be decoded so far, and why the last could not.

        A Frame is made of many packets and may be whole without these.
        """
        return self.stream.invalid, self.stream.reason

    def warm(self, calibration: Calibration) -> None:
        """Make the tables between cameras before a frame waits for them; nothing if they are made.

        Only for sensors whose images have the size of their camera: that of a camera_info alone
        may be anything. What fails here fails for the first measurement, which says why. Belongs
        to the thread of `prepare`.
        """
        reference = calibration.reference
        known = (
            reference,
            dict(calibration.cameras),
            dict(calibration.image_sizes),
            set(calibration.poses),
        )
        if reference is None or known == self._warmed:
            return
        self._warmed = known
        for modality in (Modality.DEPTH, Modality.EVENT):
            camera = calibration.cameras.get(modality)
            width, height = (camera or reference).width, (camera or reference).height
            if calibration.image_sizes.get(modality) == (width, height):
                blank = _blank(modality, width, height)
                pose = calibration.pose_of(modality)
                frame = Frame.of(Measurement(modality, 0, blank, camera, pose))
                self._preprocessor_for(reference).preprocess(frame)

    def prepare(self, frame: Frame) -> Prepared:
        """The images of a Frame of `Received`s (events: a list of them), as far as usable."""
        began = time.perf_counter()
        self._begin()
        measurements: dict[Modality, Measurement] = {}
        images: dict[Modality, np.ndarray] = {}
        availability, reasons = dict(frame.availability), dict(frame.reasons)
        for modality in frame.subset:
            made = self._made(modality, frame)
            if made.measurement is None or made.image is None:
                availability[modality] = Availability.INVALID
                reasons[modality] = made.reason
            else:
                measurements[modality], images[modality] = made.measurement, made.image
                if frame.trajectory is not None and made.reason:
                    reasons[modality] = made.reason
                if modality == Modality.LIDAR and self._intensity_warning:
                    reasons.setdefault(modality, self._intensity_warning)
        self._ahead.clear()
        self._spend_events()
        received = {m: last_of(x) for m, x in frame.measurements.items()}
        anchor = received.get(frame.anchor) if frame.anchor is not None else None
        decoded = replace(
            frame, measurements=measurements, availability=availability, reasons=reasons
        )
        return Prepared(decoded, images, received, anchor, time.perf_counter() - began)

    def prepare_ahead(self, frame: Frame | None, hurry: Callable[[], bool]) -> bool:
        """Make ready what a Frame that still waits has already, one measurement a sensor.

        `prepare` takes it if the Frame has it in the end. Event packets and video are decoded in
        any case, and dropped while their budget refuses them. Such Frames have no trajectory.
        Ends early when `hurry()`, and gives False then. Belongs to the thread of `prepare`.
        """
        if hurry():
            return False
        self._begin()
        self._decode_ahead()
        for modality in frame.subset if frame is not None else ():
            if hurry():
                return False
            assert frame is not None
            known = self._ahead.get(modality)
            if known is None or not known.is_of(frame):
                self._ahead[modality] = _Ahead(modality, frame, self._made(modality, frame))
        self._decode_video_ahead(hurry)
        return not hurry()

    def _decode_ahead(self) -> None:
        budget = self.budgets.get(Modality.EVENT)
        if budget is not None and budget.refusal(time.monotonic_ns()):
            self.stream.reset()  # else the thread that hears messages had to decode them
            return
        began = time.thread_time()
        self.stream.decode_ahead()
        self._charge_events(time.thread_time() - began)

    def _decode_video_ahead(self, hurry: Callable[[], bool]) -> None:
        budget = self.budgets.get(Modality.RGB)
        if budget is not None and budget.refusal(time.monotonic_ns()):
            self.video.skip()
        else:
            self.video.decode_ahead(hurry)

    def _charge_events(self, seconds: float) -> None:
        if not self._event_s:
            self._events_since = time.monotonic_ns()
        self._event_s += seconds

    def _spend_events(self) -> None:
        """What a Frame's events took, whenever they were decoded: where it was longer in coming
        than `EVENTS_OF`, what they took in so long on average."""
        budget, spent = self.budgets.get(Modality.EVENT), self._event_s
        self._event_s = 0.0
        if budget is not None and spent:
            now = time.monotonic_ns()
            budget.spend(spent / max(1.0, (now - self._events_since) / EVENTS_OF), now)

    def _begin(self) -> None:
        if self._reset_wanted:
            self._reset_wanted = False
            self._learn_anew()

    def _made(self, modality: Modality, frame: Frame) -> _Made:
        """What becomes of a sensor's measurement, made now or ahead, within its budget."""
        ahead = self._ahead.pop(modality, None)
        if ahead is not None and ahead.is_of(frame):
            return ahead.made
        budget = self.budgets.get(modality)
        if budget is None:
            return self._make(modality, frame)
        refusal = budget.refusal(time.monotonic_ns())
        if refusal:
            if modality == Modality.RGB:
                self.video.skip()
            return _Made(reason=refusal)
        began, packets = time.thread_time(), self.video.decoded
        made = self._make(modality, frame)
        spent = time.thread_time() - began
        if modality == Modality.EVENT:
            self._charge_events(spent)
        else:
            parts = max(1, self.video.decoded - packets)
            budget.spend(spent, time.monotonic_ns(), parts)
        return made

    def _make(self, modality: Modality, frame: Frame) -> _Made:
        received = last_of(frame.measurements[modality])
        said = dict(frame.reasons)
        try:
            measurement = self._measurement(modality, frame, received, said)
            self._health[modality].check(measurement, self._present(modality, received))
            if frame.trajectory is not None:
                at = measurement.stamp + self._offset(modality)
                measurement = self._motion.apply(measurement, frame, at, said)
        except InvalidMeasurement as reason:
            return _Made(reason=str(reason))
        except Exception as error:  # one sensor's must not cost the others theirs
            text = f"cannot be used: {type(error).__name__}: {error}"
            return _Made(reason=plain(text, LONGEST_REASON))
        reference = frame.calibration.reference
        if reference is None:
            return _Made(reason="reference camera is unknown: no camera_info yet")
        image, why = self._preprocessor_for(reference).try_one(measurement)
        return _Made(measurement, image, why or said.get(modality, ""))

    def _present(self, modality: Modality, received: Received) -> int | None:
        """When a message arrived, in the time of its own sensor (ns), if it is known."""
        return None if received.clock is None else received.clock - self._offset(modality)

    def _offset(self, modality: Modality) -> int:
        return round(self.config.offset_s.get(modality, 0.0) * 1e9)

    def _measurement(
        self, modality: Modality, frame: Frame, newest: Received, said: dict[Modality, str]
    ) -> Measurement:
        camera = frame.calibration.camera_of(modality)
        pose = frame.calibration.pose_of(modality)
        if isinstance(newest.body, Packet):
            stamp = min(frame.stamp - self._offset(modality), newest.stamp)
            return Measurement(modality, stamp, self._events(frame, stamp), camera, pose)
        if isinstance(newest.body, VideoPacket):
            budget = self.budgets.get(modality)
            pixels = self.video.picture(newest.body, budget.gross if budget else math.inf)
            return Measurement(modality, newest.stamp, pixels, camera, pose)
        if modality != Modality.LIDAR:
            # Before it is decoded: what is packed may unpack to anything.
            size = messages.image_size(newest.body)
            if size is not None:
                check_size(*size, camera)
        if modality == Modality.LIDAR:
            return self._sweep(frame, newest, pose, said)
        data = self._decoded(modality, newest.body)
        return Measurement(modality, newest.stamp, data, camera, pose)

    def _sweep(
        self, frame: Frame, newest: Received, pose: np.ndarray, said: dict[Modality, str]
    ) -> Measurement:
        field = NONE if frame.trajectory is None else self.config.time_field
        points, times, doubt = messages.decode_sweep(
            newest.body, self._intensity, field, newest.stamp
        )
        self._intensity_warning = self._intensity.warning
        if doubt:
            self._motion.doubt(Modality.LIDAR, doubt, said)
        return Measurement(
            Modality.LIDAR, newest.stamp, points, reference_from_sensor=pose, times=times
        )

    def _decoded(self, modality: Modality, msg: Any) -> np.ndarray:
        if modality == Modality.DEPTH:
            return messages.decode_depth(msg)
        pixels = messages.decode_image(msg, self._bits[modality])
        if modality == Modality.EVENT and pixels.ndim == 2:  # a ready event image
            pixels = np.repeat(pixels[..., None], 3, axis=2)
        return pixels

    def _events(self, frame: Frame, stamp: int) -> Events:
        """The events of the frame's packets in the window that ends at `stamp`, sensor's time."""
        window = round(self.preprocessing.event_window_ms * 1e6)
        packets = [one.body for one in _all(frame.measurements[Modality.EVENT])]
        return self.stream.events(packets, stamp - window, stamp)

    def _preprocessor_for(self, reference: Camera) -> Preprocessor:
        if self._preprocessor is None or self._preprocessor.reference != reference:
            self._preprocessor = Preprocessor(reference, self.size, self.preprocessing)
        return self._preprocessor


class Pipeline(Preparation):
    """Prepares Frames and segments them."""

    def __init__(self, segmenter: Segmenter, config: PipelineConfig = PipelineConfig()) -> None:
        super().__init__(
            segmenter.size, PreprocessingConfig(**segmenter.metadata.preprocessing), config
        )
        self.segmenter = segmenter

    def process(self, frame: Frame) -> Result:
        """Segment a Frame of `Received`s (events: a list of them) from whatever is usable."""
        reference = frame.calibration.reference
        prepared = self._taken(self.prepare(frame))
        began = time.perf_counter()
        segmentation = None
        if prepared.images and reference is not None:
            size = self.config.output_size or (reference.width, reference.height)
            segmentation = self.segmenter.segment(prepared.images, size)
        infer_s = time.perf_counter() - began
        return Result(**vars(prepared), segmentation=segmentation, infer_s=infer_s)

    def _taken(self, prepared: Prepared) -> Prepared:
        """Without the images of sensors that the network does not take."""
        known, frame = self.segmenter.modalities, prepared.frame
        others = [m for m in prepared.images if m not in known]
        if not others:
            return prepared
        reason = f"these weights take {subset_name(known)} alone: disable this sensor"
        kept = {m: x for m, x in frame.measurements.items() if m in known}
        availability = {**frame.availability, **dict.fromkeys(others, Availability.INVALID)}
        reasons = {**frame.reasons, **dict.fromkeys(others, reason)}
        frame = replace(frame, measurements=kept, availability=availability, reasons=reasons)
        images = {m: image for m, image in prepared.images.items() if m in known}
        return replace(prepared, frame=frame, images=images)


def is_picture(msg: Any) -> bool:
    """Whether a message is a sensor_msgs/Image or CompressedImage."""
    return hasattr(msg, "data") and not hasattr(msg, "events")


def _blank(modality: Modality, width: int, height: int) -> Any:
    """A measurement's data with something in it."""
    if modality == Modality.DEPTH:
        return np.ones((height, width), np.float32)
    t, zero = np.zeros(1, np.int64), np.zeros(1, np.uint16)
    return Events(t, zero, zero, zero > 0, width, height)


def _all(entry: Any) -> list[Received]:
    return entry if isinstance(entry, list) else [entry]


def last_of(entry: Any) -> Received:
    """What the synchronizer has of a sensor; of events, the last packet."""
    return _all(entry)[-1]
