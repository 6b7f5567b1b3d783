"""The node's parameters as dataclasses: names, defaults, ranges, units and descriptions.

ROS parameters and config/any2seg.yaml are made from these, so that a default stands in one place.
Nothing of ROS is imported. `python -m any2seg_ros.runtime.parameters` prints the YAML.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from any2seg_ros.configuration import setting
from any2seg_ros.engine import EngineConfig
from any2seg_ros.messages.sizes import LARGEST, check_area
from any2seg_ros.preprocessing import HealthConfig
from any2seg_ros.preprocessing.camera_models import field_of_view, transform
from any2seg_ros.preprocessing.intensity import IntensityConfig
from any2seg_ros.runtime.pipeline import PipelineConfig
from any2seg_ros.runtime.rendering import OutputConfig
from any2seg_ros.runtime.synchronizer import SynchronizerConfig, Timing
from any2seg_ros.types import IDENTITY, Camera, InvalidMeasurement, Modality

_RGB, _DEPTH, _LIDAR, _EVENT = Modality
_PICTURES = (_RGB, _DEPTH, _EVENT)
_TRANSPORTS = {
    _RGB: ("raw", "compressed"),
    _DEPTH: ("raw", "compressedDepth"),
    _LIDAR: ("raw",),
    _EVENT: ("raw", "compressed"),
}
LEAST_RATE = 1e-3
_LIMITS = {item.name for item in fields(HealthConfig)}
EVENT_TYPES = ("packet", "dvs", "prophesee", "image")


@dataclass(frozen=True)
class SensorParameters:
    """One sensor's parameters; their names begin with the sensor's."""

    enabled: bool = setting(True, "listen to the sensor", live=True)
    transport: str = setting("raw", "raw, compressed or compressedDepth", only=_PICTURES)
    type: str = setting(
        "packet",
        "packet (event_camera_msgs/EventPacket), dvs or prophesee (EventArray), or image (ready "
        "event images)",
        only=(_EVENT,),
    )
    reliable: bool = setting(False, "ask for reliable delivery; events rarely come so")
    registered: bool = setting(
        False,
        "pixels are those of the reference camera already: no camera_info and no pose are needed",
        only=(_DEPTH, _EVENT),
    )
    extrinsics: str = setting(
        "tf",
        "where the sensor stands: tf, or 'x y z qx qy qz qw' (m) of its frame in that of the "
        "reference camera",
    )
    offset: float = setting(0.0, "s added to the sensor's stamps", -10.0, 10.0)
    window: float = setting(
        Timing.window, "s between a measurement and its frame at most; of events, the slice", 0, 2
    )
    hold: float = setting(
        0.0,
        "s for which an old measurement stands in for a missing one; of events, ready images alone",
        0.0,
        10.0,
    )
    health: HealthConfig = HealthConfig()
    """Its limits are parameters of the sensor's."""
    rectified: str = setting(
        "auto",
        "whether images are rectified, so that their geometry is P of camera_info without D: yes, "
        "no, or auto (by the topic's name, such as image_rect)",
        only=_PICTURES,
    )
    intensity_field: str = setting(
        IntensityConfig.field,
        "field of the cloud that is its intensity, or auto: a calibrated reflectivity before "
        "intensity",
        only=(_LIDAR,),
    )
    intensity_scale: float = setting(
        IntensityConfig.scale,
        "factor that brings the intensity to 0..1; 0 finds it, from many clouds",
        0.0,
        1e6,
        only=(_LIDAR,),
    )


def _sensors() -> Mapping[Modality, SensorParameters]:
    return MappingProxyType(
        {
            _RGB: SensorParameters(),
            _DEPTH: SensorParameters(),
            _LIDAR: SensorParameters(window=0.06, hold=0.15),
            _EVENT: SensorParameters(),
        }
    )


@dataclass(frozen=True)
class NodeParameters:
    """All parameters of the node; times in seconds."""

    model: str = setting(
        EngineConfig.model, "weights (.safetensors); empty for those that come with the package"
    )
    engine: str = setting(EngineConfig.engine, "auto, torch, openvino or onnxruntime")
    device: str = setting(EngineConfig.device, "auto, cpu, cuda, or a device of OpenVINO's")
    precision: str = setting(EngineConfig.precision, "auto, f32, bf16 or f16")
    threads: int = setting(
        EngineConfig.threads, "CPU threads of the engine; 0 leaves it to the engine", 0, 256
    )
    network_width: int = setting(
        EngineConfig.width, "px of the images that the network sees; 0 as it was trained", 0, 4096
    )
    network_height: int = setting(EngineConfig.height, "px; fewer are faster, and coarser", 0, 4096)
    autostart: bool = setting(True, "configure and activate at the start")
    executor: str = setting(
        "single_threaded", "single_threaded, or events where rclpy has that one"
    )
    anchors: tuple[str, ...] = setting(
        tuple(m.label for m in SynchronizerConfig.anchors),
        "whose measurements open frames: the first of these that lives",
    )
    deadline: float = setting(
        SynchronizerConfig.deadline,
        "s after its anchor's arrival at which an incomplete frame leaves",
        0.0,
        10.0,
    )
    period: float = setting(
        SynchronizerConfig.period,
        "s between frames that events open; silence is judged by it",
        0.001,
        10.0,
    )
    maximum_rate: float = setting(
        SynchronizerConfig.maximum_rate,
        "Hz of the output at most, on the average; 0 for no limit",
        0.0,
        1000.0,
        True,
    )
    dead_after: int = setting(
        SynchronizerConfig.dead_after,
        "frames that wait in vain for a sensor until none waits for it any more",
        1,
        1000,
    )
    jump: float = setting(
        SynchronizerConfig.jump, "s that stamps step back by when a new time begins", 0.01, 3600.0
    )
    replay: str = setting(
        "auto", "let stamps alone decide when frames leave: yes, no, or auto (with simulated time)"
    )
    width: int = setting(0, "px of the outputs; 0 for the reference camera's", 0, 16384)
    height: int = setting(0, "px of the outputs; 0 for the reference camera's", 0, 16384)
    header_frame: str = setting(
        OutputConfig.header_frame,
        "whose frame_id masks have: that of the anchor (its header, unchanged) or of the reference "
        "camera, whose pixels they are",
        live=True,
    )
    confidence_encoding: str = setting("mono8", "mono8 (0..255) or 32FC1 (0..1)", live=True)
    minimum_confidence: float = setting(
        0.0, "confidence below which a pixel of the mask is unlabelled (255)", 0.0, 1.0, True
    )
    overlay_opacity: float = setting(0.5, "of the colours over the camera's image", 0.0, 1.0, True)
    status_period: float = setting(
        0.2, "s after the last status at which there is another one", 0.02, 0.4
    )
    silent_after: float = setting(
        0.3, "s without a message after which a sensor is silent", 0.05, 10.0
    )
    diagnostics_period: float = setting(1.0, "s between diagnostics", 0.1, 60.0)
    reference_file: str = setting(
        "", "where the reference camera is kept across restarts; empty for nowhere"
    )
    reference_frame: str = setting(
        "", "TF frame of the reference camera; empty for that of its camera_info"
    )
    reference_width: int = setting(
        0, "px; 0 takes the reference camera from rgb/camera_info", 0, 32768
    )
    reference_height: int = setting(0, "px", 0, 32768)
    reference_k: str = setting("", "'fx fy cx cy' in px")
    reference_d: str = setting("", "coefficients of the distortion, as in camera_info")
    reference_model: str = setting("plumb_bob", "plumb_bob, rational_polynomial or equidistant")
    sensors: Mapping[Modality, SensorParameters] = field(default_factory=_sensors)

    @property
    def interval(self) -> float:
        """s between frames, as far as parameters tell: their period, or longer if limited."""
        return max(self.period, 1 / self.maximum_rate if self.maximum_rate else 0.0)

    def engine_config(self) -> EngineConfig:
        """What runs the network."""
        return EngineConfig(
            self.model,
            self.engine,
            self.device,
            self.threads,
            self.precision,
            self.network_width,
            self.network_height,
        )

    def output_config(self) -> OutputConfig:
        """How outputs are made."""
        return OutputConfig(
            self.confidence_encoding,
            self.minimum_confidence,
            self.overlay_opacity,
            self.header_frame,
        )

    def synchronizer_config(self, event_window: float, simulated: bool) -> SynchronizerConfig:
        """How frames are made; `event_window` is the slice (s) that the network was trained with.

        `simulated`: the node runs on simulated time.
        """
        timing = {m: Timing(s.enabled, s.offset, s.window, s.hold) for m, s in self.sensors.items()}
        event = self.sensors[_EVENT]
        if event.type != "image":
            window = max(event.window, event_window)
            timing[_EVENT] = replace(timing[_EVENT], window=window, capacity=2000, sliced=True)
        replay = simulated if self.replay == "auto" else self.replay == "yes"
        return SynchronizerConfig(
            anchors=tuple(Modality.parse(name) for name in self.anchors),
            period=self.period,
            maximum_rate=self.maximum_rate,
            deadline=self.deadline,
            dead_after=self.dead_after,
            jump=self.jump,
            live=not replay,
            timing=timing,
        )

    def pipeline_config(self) -> PipelineConfig:
        """How measurements are judged."""
        health = {modality: sensor.health for modality, sensor in self.sensors.items()}
        offsets = {m: s.offset for m, s in self.sensors.items() if s.offset}
        size = (self.width, self.height) if self.width and self.height else None
        lidar = self.sensors[_LIDAR]
        intensity = IntensityConfig(lidar.intensity_field, lidar.intensity_scale)
        return PipelineConfig(health, offsets, size, intensity)

    def reference_camera(self) -> Camera | None:
        """The reference camera, if parameters give it."""
        if not (self.reference_width and self.reference_height):
            return None
        try:
            check_area("reference camera", self.reference_width, self.reference_height)
        except InvalidMeasurement as error:
            raise ValueError(f"reference_width, reference_height: {error}") from None
        fx, fy, cx, cy = _numbers("reference_k", self.reference_k, 4)
        if not (fx > 0 and fy > 0):
            raise ValueError(f"reference_k is '{self.reference_k}': fx and fy must be above 0")
        camera = Camera(
            self.reference_width,
            self.reference_height,
            fx,
            fy,
            cx,
            cy,
            _numbers("reference_d", self.reference_d),
            self.reference_model,
        )
        try:
            field_of_view(camera)
        except ValueError as error:
            raise ValueError(f"reference_model, reference_d: {error}") from None
        return camera

    def pose(self, modality: Modality) -> np.ndarray | None:
        """float64 (4, 4), the sensor's frame to the reference camera's; None if TF has it."""
        sensor = self.sensors[modality]
        if sensor.registered and modality in (_DEPTH, _EVENT):
            return IDENTITY
        if sensor.extrinsics == "tf":
            return None
        values = _numbers(f"{modality.label}.extrinsics", sensor.extrinsics, 7)
        try:
            return transform(values[:3], values[3:])
        except ValueError as error:
            raise ValueError(f"{modality.label}.extrinsics: {error}") from None

    def check(self) -> None:
        """ValueError that says which parameter is wrong, and what it may be."""
        _one_of("executor", self.executor, ("single_threaded", "events"))
        _one_of("engine", self.engine, ("auto", "torch", "openvino", "onnxruntime"))
        _one_of("replay", self.replay, ("auto", "yes", "no"))
        _one_of("header_frame", self.header_frame, ("anchor", "reference"))
        _one_of("confidence_encoding", self.confidence_encoding, ("mono8", "32FC1"))
        for modality, sensor in self.sensors.items():
            name = modality.label
            _one_of(f"{name}.transport", sensor.transport, _TRANSPORTS[modality])
            _one_of(f"{name}.type", sensor.type, EVENT_TYPES)
            _one_of(f"{name}.rectified", sensor.rectified, ("auto", "yes", "no"))
            self.pose(modality)
        for entry in entries():
            low, high = entry.low, entry.high
            value = self.get(entry.name)
            if (low is not None and value < low) or (high is not None and value > high):
                raise ValueError(f"{entry.name} is {value}, but must be from {low} to {high}")
        if 0 < self.maximum_rate < LEAST_RATE:
            raise ValueError(
                f"maximum_rate is {self.maximum_rate}, but must be 0 or at least {LEAST_RATE}"
            )
        if not self.anchors:
            raise ValueError("anchors: name at least one sensor")
        try:
            self.synchronizer_config(0.0, False)
        except ValueError as error:
            raise ValueError(f"anchors: {error}") from None

    def check_together(self) -> None:
        """ValueError where parameters that are good by themselves do not go together."""
        if self.width * self.height > LARGEST:
            raise ValueError(f"width and height: at most {LARGEST // 10**6} megapixels")
        for one, other in (("width", "height"), ("reference_width", "reference_height")):
            if bool(self.get(one)) != bool(self.get(other)):
                raise ValueError(f"{one} and {other}: give both or none")
        event = self.sensors[_EVENT]
        if event.transport != "raw" and event.type != "image":
            raise ValueError(f"event.transport is '{event.transport}': only event.type image is")
        self.reference_camera()

    def get(self, name: str) -> Any:
        """The value of the parameter called `name`, such as `rgb.enabled`."""
        section, _, rest = name.rpartition(".")
        if not section:
            return getattr(self, rest)
        sensor = self.sensors[Modality.parse(section)]
        return getattr(sensor.health if rest in _LIMITS else sensor, rest)


@dataclass(frozen=True)
class Entry:
    """One ROS parameter."""

    name: str
    default: Any
    text: str
    low: float | None
    high: float | None
    live: bool


def entries() -> Iterator[Entry]:
    """Every parameter of the node, those of the sensors last."""
    for item in fields(NodeParameters):
        if item.metadata:
            yield _entry(item.name, item.default, item)
    for modality, sensor in _sensors().items():
        for owner in (sensor, sensor.health):
            for item in fields(owner):
                if modality in item.metadata.get("only", ()):
                    yield _entry(f"{modality.label}.{item.name}", getattr(owner, item.name), item)


def _entry(name: str, default: Any, item: Field) -> Entry:
    low, high = item.metadata["range"]
    return Entry(name, default, item.metadata["text"], low, high, item.metadata["live"])


def from_values(values: Mapping[str, Any], together: bool = True) -> NodeParameters:
    """The parameters of ROS values by name; those not given have their defaults. ValueError.

    `together`: they are all that are to come, and must go together.
    """
    sensors = {}
    given = {
        entry.name: _typed(entry, values.get(entry.name, entry.default)) for entry in entries()
    }
    for modality in Modality:
        prefix = f"{modality.label}."
        own = {n.removeprefix(prefix): v for n, v in given.items() if n.startswith(prefix)}
        limits = {name: own.pop(name) for name in _LIMITS & own.keys()}
        sensors[modality] = SensorParameters(**own, health=HealthConfig(**limits))
    top = {n: v for n, v in given.items() if "." not in n}
    parameters = NodeParameters(**top, sensors=MappingProxyType(sensors))
    parameters.check()
    if together:
        parameters.check_together()
    return parameters


def _typed(entry: Entry, value: Any) -> Any:
    """A value as ROS takes it; ValueError for another type: ROS tells 1 from 1.0."""
    wanted = type(entry.default)
    if wanted is tuple and (value is None or isinstance(value, (list, tuple))):
        return tuple(value or ())
    if type(value) is not wanted:
        names = {float: "a number such as 1.0", int: "a whole number", bool: "true or false"}
        what = names.get(wanted, "a list of words" if wanted is tuple else "text in quotes")
        raise ValueError(f"{entry.name} is {value!r}, but must be {what}")
    return value


def as_yaml() -> str:
    """config/any2seg.yaml: every parameter with its default, commented."""
    lines = ["/**:", "  ros__parameters:"]
    section = ""
    for entry in entries():
        head, _, name = entry.name.rpartition(".")
        if head != section:
            lines += ["", f"    {head}:"]
            section = head
        indent = "      " if head else "    "
        text = f"{entry.text}{'; can be changed at run time' if entry.live else ''}"
        comment = f"{indent}# "
        lines += textwrap.wrap(text, 96, initial_indent=comment, subsequent_indent=comment)
        lines.append(f"{indent}{name}: {_yaml(entry.default)}")
    return "\n".join(lines) + "\n"


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return repr(value)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is '{value}', but must be one of {', '.join(known)}")


def _numbers(name: str, text: str, count: int | None = None) -> tuple[float, ...]:
    try:
        values = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"{name} is '{text}', but must be numbers with spaces between") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{name} is '{text}', but must be finite")
    if count is not None and len(values) != count:
        raise ValueError(f"{name} is '{text}', but must be {count} numbers with spaces between")
    return values


if __name__ == "__main__":
    print(as_yaml(), end="")
