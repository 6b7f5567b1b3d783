"""The Pipeline: from the messages of a Frame to a Segmentation, whatever became of the sensors.

messages (decode) -> sensors (health, place) -> engine (segment). The node and the replay of a bag
walk the same way; training and evaluation on bags walk it up to the images, the Preparation.
Nothing of ROS is imported: messages are known by their attributes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from any2seg_ros import messages
from any2seg_ros.engine import Segmenter
from any2seg_ros.preprocessing import Health, HealthConfig, PreprocessingConfig, Preprocessor
from any2seg_ros.preprocessing.rgb import check_size
from any2seg_ros.runtime.event_stream import EventStream, Packet
from any2seg_ros.types import (
    IDENTITY,
    Availability,
    Camera,
    Events,
    Frame,
    InvalidMeasurement,
    Measurement,
    Modality,
    Segmentation,
)


class Received(NamedTuple):
    """A message as the synchronizer gets it.

    stamp: ns, of its header. arrival: ns of a steady clock. body: the message; of events, the
    Packet that it is in the stream. heard: ns of the clock that made the stamp, if it is known.
    """

    stamp: int
    arrival: int
    header: Any
    body: Any
    heard: int | None = None


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


@dataclass(frozen=True, eq=False)
class Result(Prepared):
    """What became of one Frame; `segmentation` is None if nothing was usable.

    infer_s: how long segmenting took.
    """

    segmentation: Segmentation | None
    infer_s: float


class Preparation:
    """Decodes, checks and places messages; `prepare` belongs to one thread.

    `admit` belongs to the thread that hears the messages. Cameras and poses may be set at any
    time by either. size: (width, height) of the modality images.
    """

    def __init__(
        self,
        size: tuple[int, int],
        placing: PreprocessingConfig,
        config: PipelineConfig = PipelineConfig(),
    ) -> None:
        self.size = size
        self.placing = placing
        self.config = config
        self.reference: Camera | None = None
        self.cameras: dict[Modality, Camera] = {}
        self.poses: dict[Modality, np.ndarray] = {}
        self.sizes: dict[Modality, tuple[int, int]] = {}
        """(width, height) that the last message of a sensor with pixels had, as far as it says."""
        self.invalid: Counter[Modality] = Counter()
        self.reference_frame = ""
        """TF frame of the reference camera, as far as it is known."""
        self._health = self._new_health()
        self._anew = False
        self._stream = EventStream()
        self._placer: Preprocessor | None = None

    def _new_health(self) -> dict[Modality, Health]:
        configs = self.config.health
        return {m: Health(m, configs.get(m, HealthConfig())) for m in Modality}

    def configure(self, config: PipelineConfig) -> None:
        """Other checks from now on; what was usual is learned again."""
        self.config = config
        self._health = self._new_health()

    def reset(self) -> None:
        """Forget the past, as after a jump of time; what is being prepared still has the old."""
        self._stream.reset()
        self._anew = True

    def admit(self, modality: Modality, msg: Any, arrival: int, now: int | None = None) -> Received:
        """A message for the synchronizer; packets of events join their stream here.

        arrival: ns of a steady clock. now: ns of the clock that made the stamps; None leaves out
        its check. InvalidMeasurement for a stamp of zero or from the future.
        """
        try:
            stamp = messages.stamp_ns(msg.header.stamp)
            if stamp <= 0:
                raise InvalidMeasurement("stamp is zero")
            self._check_future(modality, stamp, now)
            size = None if modality == Modality.LIDAR else messages.image_size(msg)
        except InvalidMeasurement:
            self.invalid[modality] += 1
            raise
        if size is not None:
            self.sizes[modality] = size
        packet = modality == Modality.EVENT and not is_picture(msg)
        body = self._stream.add(msg) if packet else msg
        return Received(stamp, arrival, msg.header, body, now)

    def _check_future(self, modality: Modality, stamp: int, now: int | None) -> None:
        limit = self.config.health.get(modality, HealthConfig()).future
        if now is None or not limit:
            return
        ahead = (stamp - now) * 1e-9 + self.config.offset_s.get(modality, 0.0)
        if ahead > limit:
            raise InvalidMeasurement(f"stamp is in the future by {ahead:.2f} s")

    @property
    def broken_packets(self) -> tuple[int, str]:
        """Event packets that could not be decoded so far, and why the last could not.

        A Frame is made of many packets and may be whole without these.
        """
        return self._stream.invalid, self._stream.reason

    def warm(self) -> None:
        """Make the tables between the cameras that are known now, so that no frame waits for them.

        Only for sensors that have been heard with the size of their camera: that of a camera_info
        alone may be anything. What fails here fails for the first measurement, which says why.
        Belongs to the thread of `prepare`.
        """
        reference = self.reference
        if reference is None:
            return
        placer = self._placer_for(reference)
        for modality in (Modality.DEPTH, Modality.EVENT):
            camera = self.cameras.get(modality)
            width, height = (camera or reference).width, (camera or reference).height
            if self.sizes.get(modality) != (width, height):
                continue
            pose = self.poses.get(modality, IDENTITY)
            blank: Any = np.ones((height, width), np.float32)
            if modality == Modality.EVENT:
                t, zero = np.zeros(1, np.int64), np.zeros(1, np.uint16)
                blank = Events(t, zero, zero, zero > 0, width, height)
            placer.preprocess(Frame.of(Measurement(modality, 0, blank, camera, pose)))

    def prepare(self, frame: Frame) -> Prepared:
        """The images of a Frame of `Received`s (events: a list of them), as far as usable."""
        began = time.perf_counter()
        if self._anew:
            self._anew = False
            self._health = self._new_health()
        received = {m: _last(x) for m, x in frame.measurements.items()}
        decoded = self._decode(frame, received)
        images: Mapping[Modality, np.ndarray] = {}
        if self.reference is not None:
            placed = self._placer_for(self.reference).preprocess(decoded)
            self._count_invalid(decoded, placed.availability)
            images = placed.images
            decoded = _checked(decoded, placed.availability, placed.reasons)
        elif decoded.measurements:
            decoded = _without_reference(decoded)
        anchor = received.get(frame.anchor) if frame.anchor is not None else None
        return Prepared(decoded, images, received, anchor, time.perf_counter() - began)

    def _decode(self, frame: Frame, received: dict[Modality, Received]) -> Frame:
        """The frame with `Measurement`s that passed their health checks."""
        measurements: dict[Modality, Measurement] = {}
        availability, reasons = dict(frame.availability), dict(frame.reasons)
        for modality in frame.subset:
            try:
                measurement = self._measurement(modality, frame, received[modality])
                self._health[modality].check(measurement, self._heard(modality, received))
                measurements[modality] = measurement
            except InvalidMeasurement as reason:
                self.invalid[modality] += 1
                availability[modality] = Availability.INVALID
                reasons[modality] = str(reason)
            except Exception as error:  # one sensor's must not cost the others theirs
                self.invalid[modality] += 1
                availability[modality] = Availability.INVALID
                reasons[modality] = f"cannot be used: {type(error).__name__}: {error}"
        return Frame(frame.stamp, measurements, availability, reasons, frame.anchor)

    def _heard(self, modality: Modality, received: Mapping[Modality, Received]) -> int | None:
        """When a measurement was heard, in the time of its own sensor (ns), if it is known."""
        heard = received[modality].heard
        return None if heard is None else heard - self._offset(modality)

    def _offset(self, modality: Modality) -> int:
        return round(self.config.offset_s.get(modality, 0.0) * 1e9)

    def _measurement(self, modality: Modality, frame: Frame, newest: Received) -> Measurement:
        body, stamp = newest.body, newest.stamp
        camera = self.cameras.get(modality)
        if camera is None and modality == Modality.RGB:
            camera = self.reference
        if modality != Modality.LIDAR and not isinstance(body, Packet):
            # Before it is decoded: what is packed may unpack to anything.
            size = messages.image_size(body)
            if size is not None:
                check_size(*size, camera)
        if modality == Modality.RGB:
            data: Any = messages.decode_image(body)
        elif modality == Modality.LIDAR:
            data = messages.decode_cloud(body)
        elif isinstance(body, Packet):
            # Events are cut at the frame's stamp, in the time of their own sensor.
            stamp = min(frame.stamp - self._offset(modality), newest.stamp)
            window = round(self.placing.event_window_ms * 1e6)
            packets = [one.body for one in _all(frame.measurements[modality])]
            data = self._stream.events(packets, stamp - window, stamp)
        elif modality == Modality.EVENT:
            data = _picture(body)
        else:
            data = messages.decode_depth(body)
        pose = self.poses.get(modality, IDENTITY)
        return Measurement(modality, stamp, data, camera, pose)

    def _placer_for(self, reference: Camera) -> Preprocessor:
        if self._placer is None or self._placer.reference != reference:
            self._placer = Preprocessor(reference, self.size, self.placing)
        return self._placer

    def _count_invalid(self, before: Frame, after: Mapping[Modality, Availability]) -> None:
        for modality in before.measurements:
            if not after[modality].usable:
                self.invalid[modality] += 1


class Pipeline(Preparation):
    """Prepares Frames and segments them."""

    def __init__(self, segmenter: Segmenter, config: PipelineConfig = PipelineConfig()) -> None:
        super().__init__(
            segmenter.size, PreprocessingConfig(**segmenter.metadata.preprocessing), config
        )
        self.segmenter = segmenter

    def process(self, frame: Frame) -> Result:
        """Segment a Frame of `Received`s (events: a list of them) from whatever is usable."""
        reference = self.reference
        prepared = self.prepare(frame)
        began = time.perf_counter()
        segmentation = None
        if prepared.images and reference is not None:
            size = self.config.output_size or (reference.width, reference.height)
            segmentation = self.segmenter.segment(prepared.images, size)
        infer_s = time.perf_counter() - began
        return Result(**vars(prepared), segmentation=segmentation, infer_s=infer_s)


def is_picture(msg: Any) -> bool:
    """Whether a message is a sensor_msgs/Image or CompressedImage."""
    return hasattr(msg, "data") and not hasattr(msg, "events")


def _checked(
    frame: Frame,
    availability: Mapping[Modality, Availability],
    reasons: Mapping[Modality, str],
) -> Frame:
    left = {m: x for m, x in frame.measurements.items() if availability[m].usable}
    return Frame(frame.stamp, left, dict(availability), dict(reasons), frame.anchor)


def _without_reference(frame: Frame) -> Frame:
    reason = "reference camera is unknown: no camera_info yet"
    lost = {m: Availability.INVALID for m in frame.measurements}
    return _checked(
        frame,
        {**frame.availability, **lost},
        {**frame.reasons, **{m: reason for m in lost}},
    )


def _all(entry: Any) -> list[Received]:
    return entry if isinstance(entry, list) else [entry]


def _last(entry: Any) -> Received:
    return _all(entry)[-1]


def _picture(msg: Any) -> np.ndarray:
    """A ready event image as uint8 (h, w, 3); grey becomes three equal channels."""
    pixels = messages.decode_image(msg)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return pixels
