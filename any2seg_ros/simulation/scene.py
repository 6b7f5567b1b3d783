"""A scene: a drive through a town in one condition, and the sensor data of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from any2seg_ros.preprocessing.events import concatenate
from any2seg_ros.simulation import sensors
from any2seg_ros.simulation.drive import Drive, Rig
from any2seg_ros.simulation.events import EventSensor
from any2seg_ros.simulation.rigs import DrawnRig, draw_rig
from any2seg_ros.simulation.sensors import Sweep
from any2seg_ros.simulation.settings import DEFAULTS, SensorSettings
from any2seg_ros.simulation.shading import Lights
from any2seg_ros.simulation.site import TEST_SETTINGS, TownSettings
from any2seg_ros.simulation.snapshot import Snapshot, SnapshotBuilder
from any2seg_ros.simulation.town import build_town
from any2seg_ros.simulation.weather import make_weather
from any2seg_ros.types import Events, Frame, Measurement, Modality

EPOCH = 1_700_000_000 * 10**9
"""Stamp of the start of every drive, ns."""
SPLITS = ("train", "val", "test")
SETTLE = 1.0
"""Time from the start of the drive to the first frame, s."""
_TOWN, _WEATHER, _DRIVE, _PATTERN, _CHANCE, _CAPTURE = range(6)


MANIFEST = "streets.json"
"""File beside the output that states the arguments it was made with."""
VERSION = 2
"""Raised when the same arguments give other content."""


@dataclass(frozen=True)
class SceneSpec:
    """The arguments that determine a scene."""

    split: str
    index: int
    condition: str
    failure: str = ""
    """One of weather.FAILURES, or empty."""
    frames: int = 10
    rate: float = 10.0
    """Frame rate, Hz."""
    seed: int = 0
    size: tuple[int, int] = (512, 288)
    """Width and height of the RGB image, pixels."""
    rig: int | None = None
    """Number of the rig that is drawn for it; None for the rig of the settings."""

    @property
    def drawn_rig(self) -> DrawnRig | None:
        """The rig of its number, another one in each split and for each seed."""
        if self.rig is None:
            return None
        return draw_rig(self.seed, SPLITS.index(self.split), self.rig)

    @property
    def name(self) -> str:
        """Folder name, in DELIVER's scheme."""
        name = f"MAP_{self.index // 100 + 1}_point{self.index % 100 + 1}"
        return f"{name}_{self.failure}" if self.failure else name

    def sequence(self, *purpose: int) -> np.random.SeedSequence:
        """The seed for a purpose, independent across splits, scenes and purposes."""
        return np.random.SeedSequence([self.seed, SPLITS.index(self.split), self.index, *purpose])

    def seconds(self, frame: int) -> float:
        """Time of a frame since the start of the drive, s."""
        return SETTLE + frame / self.rate


@dataclass(frozen=True, eq=False)
class Capture:
    """The sensor data and the ground truth at one stamp.

    rgb uint8 (h, w, 3); labels uint8 (h, w), class ids in the RGB image; depth uint16 (h, w) in mm
    and true_depth float32 (h, w) in m, in the depth image; cloud: see Sweep; events: up to `stamp`.
    """

    stamp: int
    rgb: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    true_depth: np.ndarray
    cloud: Sweep
    events: Events


class Scene:
    """Renders the captures of a spec; a capture depends on the spec and its number only.

    `like`: a scene of the same street in another condition, whose town is reused.
    """

    def __init__(
        self, spec: SceneSpec, settings: SensorSettings = DEFAULTS, like: Scene | None = None
    ) -> None:
        drawn = spec.drawn_rig
        self.spec, self.settings = spec, drawn.settings if drawn else settings
        self._infrared = drawn.infrared if drawn else None
        if like is None:
            towns = TEST_SETTINGS if spec.split == "test" else TownSettings()
            town = build_town(spec.sequence(_TOWN), towns, spec.seconds(spec.frames))
            self.town, self.snapshots = town, SnapshotBuilder(town)
        else:
            if replace(like.spec, condition=spec.condition, failure=spec.failure) != spec:
                raise ValueError("`like` is a scene of another street")
            self.town, self.snapshots = like.town, like.snapshots
        self.drive = Drive(self.town, spec.sequence(_DRIVE))
        self.weather = make_weather(spec.condition, spec.sequence(_WEATHER))
        low = spec.failure == "eventlowres"
        self.rig = Rig.of(self.settings, spec.size, self.town.camera_height, low)

    def capture(self, number: int) -> Capture:
        """Frame `number` of the drive, with the events of `event.window` seconds before it."""
        seconds = self.spec.seconds(number)
        steps = max(1, round(self.settings.event.window / self.settings.event.step))
        sensor = self._event_sensor(number)
        events = self._events(sensor, seconds - self.settings.event.window, seconds, steps)
        return self._capture(number, events)

    def sweep(self, number: int, lag: float) -> Sweep:
        """What the LiDAR measures `lag` seconds after frame `number`."""
        seconds = self.spec.seconds(number) + lag
        return self._sweep(self.snapshot(seconds), seconds, self._chance(number, 1))

    def depth(self, number: int, lag: float) -> tuple[np.ndarray, np.ndarray]:
        """The depth image and its truth, as in `Capture`, `lag` seconds after frame `number`."""
        seconds = self.spec.seconds(number) + lag
        base = self.drive.world_from_base(seconds)
        return self._depth(self.snapshot(seconds), base, self._chance(number, 2))

    def captures(self) -> Iterator[Capture]:
        """All frames in order, each with all events since the one before."""
        sensor = self._event_sensor(0)
        before = self.spec.seconds(0) - 1.0 / self.spec.rate
        for number in range(self.spec.frames):
            seconds = self.spec.seconds(number)
            steps = max(1, round((seconds - before) / self.settings.event.step))
            events = self._events(sensor, before, seconds, steps, start=number == 0)
            before = seconds
            yield self._capture(number, events)

    def frame(self, capture: Capture) -> Frame:
        """The capture as a Frame."""
        rig, stamp = self.rig, capture.stamp
        return Frame.of(
            Measurement(Modality.RGB, stamp, capture.rgb, rig.rgb),
            Measurement(
                Modality.DEPTH,
                stamp,
                capture.depth,
                rig.depth,
                rig.reference_from(rig.base_from_depth),
            ),
            Measurement(
                Modality.LIDAR,
                stamp,
                capture.cloud.points,
                None,
                rig.reference_from(rig.base_from_lidar),
            ),
            Measurement(
                Modality.EVENT,
                stamp,
                capture.events,
                rig.event,
                rig.reference_from(rig.base_from_event),
            ),
            stamp=stamp,
            label=capture.labels,
        )

    def stamp(self, seconds: float) -> int:
        """The stamp (ns) at `seconds` of the drive."""
        return EPOCH + round(seconds * 1e9)

    def snapshot(self, seconds: float) -> Snapshot:
        """The town around the vehicle at `seconds`."""
        return self.snapshots.at(seconds, self.drive.distance(seconds))

    def lights(self, seconds: float) -> Lights:
        """Up to ten street lamps near the vehicle, and its headlights."""
        pose = self.drive.world_from_base(seconds)
        ahead = pose[:3, 0].astype(np.float32)
        away = self.town.lamps - np.float32(pose[:3, 3])
        along = away @ ahead
        near = np.flatnonzero((along > -20) & (along < 75) & (np.square(away).sum(1) < 90.0**2))
        place = (pose @ np.array([3.4, 0.0, 0.7, 1.0]))[:3].astype(np.float32)
        return Lights(self.town.lamps[near[np.argsort(along[near])][:10]], place, ahead)

    def intensity(self, seconds: float) -> np.ndarray:
        """Luminance on the event camera, linear float32 (h, w)."""
        pose = self.drive.world_from_base(seconds) @ self.rig.base_from_event
        view = sensors.render(
            self.snapshot(seconds), self.rig.event, pose, self.weather, self.lights(seconds), False
        )
        return view.light @ sensors.LUMINANCE

    def _event_sensor(self, number: int) -> EventSensor:
        settings = self.settings.event
        rate = settings.noise_rate * (4.0 if self.weather.night else 1.0)
        size = (self.rig.event.width, self.rig.event.height)
        return EventSensor(
            size, settings, self.spec.sequence(_PATTERN), self.spec.sequence(_CHANCE, number), rate
        )

    def _events(
        self, sensor: EventSensor, begin: float, end: float, steps: int, start: bool = True
    ) -> Events:
        if start:
            sensor.start(self.stamp(begin), self.intensity(begin))
        chunks = []
        for k in range(1, steps + 1):
            seconds = begin + (end - begin) * k / steps
            chunks.append(sensor.advance(self.stamp(seconds), self.intensity(seconds)))
        return concatenate(chunks, self.stamp(begin), self.stamp(end))

    def _capture(self, number: int, events: Events) -> Capture:
        seconds = self.spec.seconds(number)
        rng = self._chance(number)
        snapshot = self.snapshot(seconds)
        base = self.drive.world_from_base(seconds)
        rgb, labels = self._picture(snapshot, seconds, base, rng)
        depth, true = self._depth(snapshot, base, rng)
        cloud = self._sweep(snapshot, seconds, rng)
        return Capture(self.stamp(seconds), rgb, labels, depth, true, cloud, events)

    def _chance(self, number: int, *purpose: int) -> np.random.Generator:
        return np.random.default_rng(self.spec.sequence(_CAPTURE, number, *purpose))

    def _depth(
        self, snapshot: Snapshot, base: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        camera, pose = self.rig.depth, base @ self.rig.base_from_depth
        settings = self.settings.depth
        return sensors.measure_depth(snapshot, camera, pose, self.weather, settings, rng)

    def _picture(
        self, snapshot: Snapshot, seconds: float, base: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        weather, settings, failure = self.weather, self.settings.rgb, self.spec.failure
        pose = base @ self.rig.base_from_rgb
        view = sensors.render(snapshot, self.rig.rgb, pose, weather, self.lights(seconds))
        light = view.light
        if failure == "motionblur":
            light = self._blurred(light, seconds)
        gain = sensors.exposure(light, weather.night)
        if weather.rain:
            light = sensors.streaks(light, weather.rain, 0.45 / gain, rng)
        well = settings.full_well / max(gain, 1.0)
        if failure == "overexposure":
            gain *= rng.uniform(5.0, 9.0)
        elif failure == "underexposure":
            gain *= rng.uniform(0.02, 0.06)
        return sensors.expose(light, gain, well, weather, settings, rng), view.labels

    def _blurred(self, light: np.ndarray, seconds: float) -> np.ndarray:
        """The mean over seven renders of a long exposure around the stamp."""
        total = light.copy()
        times = np.linspace(-0.5, 0.5, 7) * self.settings.rgb.motionblur_time
        for shift in np.delete(times, 3):
            pose = self.drive.world_from_base(seconds + shift) @ self.rig.base_from_rgb
            at = seconds + shift
            total += sensors.render(
                self.snapshot(at), self.rig.rgb, pose, self.weather, self.lights(at), False
            ).light
        return total / np.float32(len(times))

    def _sweep(self, snapshot: Snapshot, seconds: float, rng: np.random.Generator) -> Sweep:
        settings = self.settings.lidar
        half = settings.sector / 360.0 / settings.rate / 2
        poses = [
            self.drive.world_from_base(seconds + shift) @ self.rig.base_from_lidar
            for shift in (-half, 0.0, half)
        ]
        return sensors.measure_lidar(
            snapshot, (poses[0], poses[1], poses[2]), self.weather, settings, rng,
            self.spec.failure == "lidarjitter", self._infrared,
        )  # fmt: skip
