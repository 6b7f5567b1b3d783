"""A scene: one drive through one town in one condition, and what is measured at its frames."""

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
from any2seg_ros.simulation.stage import Snapshot, Stage
from any2seg_ros.simulation.town import build_town
from any2seg_ros.simulation.weather import make_weather
from any2seg_ros.types import Events, Frame, Measurement, Modality

EPOCH = 1_700_000_000 * 10**9
"""Stamp of second 0 of every drive, ns."""
SPLITS = ("train", "val", "test")
SETTLE = 1.0
"""Seconds of driving before the first frame."""
_TOWN, _WEATHER, _DRIVE, _PATTERN, _CHANCE, _SHOT = range(6)


MANIFEST = "streets.json"
"""Beside what is made: what it was made from."""
VERSION = 2
"""Changes when the same arguments give other content."""


@dataclass(frozen=True)
class SceneSpec:
    """Everything that a scene is made from."""

    split: str
    index: int
    condition: str
    failure: str = ""
    """One of weather.FAILURES, or nothing."""
    frames: int = 10
    rate: float = 10.0
    """Frames in a second."""
    seed: int = 0
    size: tuple[int, int] = (512, 288)
    """Width and height of the RGB camera, pixels."""
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
        """Name of its folder, as DELIVER has it."""
        name = f"MAP_{self.index // 100 + 1}_point{self.index % 100 + 1}"
        return f"{name}_{self.failure}" if self.failure else name

    def sequence(self, *purpose: int) -> np.random.SeedSequence:
        """Seeds for one purpose; those of different splits, scenes and purposes are unrelated."""
        return np.random.SeedSequence([self.seed, SPLITS.index(self.split), self.index, *purpose])

    def seconds(self, frame: int) -> float:
        """Time of a frame since the drive's beginning."""
        return SETTLE + frame / self.rate


@dataclass(frozen=True, eq=False)
class Shot:
    """What the sensors measured at one stamp, and the truth.

    rgb uint8 (h, w, 3); labels uint8 (h, w), class ids in the RGB camera; depth uint16 mm and
    true_depth float32 m in the depth camera; cloud: see Sweep; events up to the stamp.
    """

    stamp: int
    rgb: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    true_depth: np.ndarray
    cloud: Sweep
    events: Events


class Scene:
    """Renders the shots of a spec. Every shot depends on the spec and its number alone.

    `like` is a scene of the same street in another condition: its town is used again.
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
            self.town, self.stage = town, Stage(town)
        else:
            if replace(like.spec, condition=spec.condition, failure=spec.failure) != spec:
                raise ValueError("the scene to be like has another street")
            self.town, self.stage = like.town, like.stage
        self.drive = Drive(self.town, spec.sequence(_DRIVE))
        self.weather = make_weather(spec.condition, spec.sequence(_WEATHER))
        low = spec.failure == "eventlowres"
        self.rig = Rig.of(self.settings, spec.size, self.town.camera_height, low)

    def shot(self, number: int) -> Shot:
        """Frame `number` of the drive, with the events of the window before it."""
        seconds = self.spec.seconds(number)
        steps = max(1, round(self.settings.event.window / self.settings.event.step))
        sensor = self._event_sensor(number)
        events = self._events(sensor, seconds - self.settings.event.window, seconds, steps)
        return self._shot(number, events)

    def film(self) -> Iterator[Shot]:
        """All frames in order, with all events from one to the next."""
        sensor = self._event_sensor(0)
        before = self.spec.seconds(0) - 1.0 / self.spec.rate
        for number in range(self.spec.frames):
            seconds = self.spec.seconds(number)
            steps = max(1, round((seconds - before) / self.settings.event.step))
            events = self._events(sensor, before, seconds, steps, start=number == 0)
            before = seconds
            yield self._shot(number, events)

    def frame(self, shot: Shot) -> Frame:
        """The shot as a Frame of measurements."""
        rig, stamp = self.rig, shot.stamp
        return Frame.of(
            Measurement(Modality.RGB, stamp, shot.rgb, rig.rgb),
            Measurement(
                Modality.DEPTH,
                stamp,
                shot.depth,
                rig.depth,
                rig.reference_from(rig.base_from_depth),
            ),
            Measurement(
                Modality.LIDAR,
                stamp,
                shot.cloud.points,
                None,
                rig.reference_from(rig.base_from_lidar),
            ),
            Measurement(
                Modality.EVENT,
                stamp,
                shot.events,
                rig.event,
                rig.reference_from(rig.base_from_event),
            ),
            stamp=stamp,
            label=shot.labels,
        )

    def stamp(self, seconds: float) -> int:
        """Stamp in ns of a time of the drive."""
        return EPOCH + round(seconds * 1e9)

    def snapshot(self, seconds: float) -> Snapshot:
        """The town around the vehicle at a time."""
        return self.stage.at(seconds, self.drive.distance(seconds))

    def lights(self, seconds: float) -> Lights:
        """The lamps that can be seen, and the headlights."""
        pose = self.drive.world_from_base(seconds)
        ahead = pose[:3, 0].astype(np.float32)
        away = self.town.lamps - np.float32(pose[:3, 3])
        along = away @ ahead
        near = np.flatnonzero((along > -20) & (along < 75) & (np.square(away).sum(1) < 90.0**2))
        place = (pose @ np.array([3.4, 0.0, 0.7, 1.0]))[:3].astype(np.float32)
        return Lights(self.town.lamps[near[np.argsort(along[near])][:10]], place, ahead)

    def intensity(self, seconds: float) -> np.ndarray:
        """Light on the event camera, linear float32 (h, w)."""
        pose = self.drive.world_from_base(seconds) @ self.rig.base_from_event
        view = sensors.look(
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

    def _shot(self, number: int, events: Events) -> Shot:
        seconds = self.spec.seconds(number)
        rng = np.random.default_rng(self.spec.sequence(_SHOT, number))
        snapshot = self.snapshot(seconds)
        base = self.drive.world_from_base(seconds)
        rgb, labels = self._picture(snapshot, seconds, base, rng)
        depth, true = sensors.measure_depth(
            snapshot,
            self.rig.depth,
            base @ self.rig.base_from_depth,
            self.weather,
            self.settings.depth,
            rng,
        )
        cloud = self._sweep(snapshot, seconds, rng)
        return Shot(self.stamp(seconds), rgb, labels, depth, true, cloud, events)

    def _picture(
        self, snapshot: Snapshot, seconds: float, base: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        weather, settings, failure = self.weather, self.settings.rgb, self.spec.failure
        pose = base @ self.rig.base_from_rgb
        view = sensors.look(snapshot, self.rig.rgb, pose, weather, self.lights(seconds))
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
        """The mean of the light over a long exposure around the stamp."""
        total = light.copy()
        times = np.linspace(-0.5, 0.5, 7) * self.settings.rgb.motionblur_time
        for shift in np.delete(times, 3):
            pose = self.drive.world_from_base(seconds + shift) @ self.rig.base_from_rgb
            at = seconds + shift
            total += sensors.look(
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
