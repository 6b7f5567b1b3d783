"""The node's parameters as dataclasses: names, defaults, ranges, units and descriptions.

ROS parameters and config/any2seg.yaml are made from these, so that a default stands in one place.
Nothing of ROS is imported. `python -m any2seg_ros.runtime.parameters` prints the YAML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from any2seg_ros.configuration import (
    Entry,
    FieldInfo,
    check_keys,
    convert,
    entry_yaml,
    info_of,
    read_yaml,
    setting,
)
from any2seg_ros.engine import EngineConfig
from any2seg_ros.messages.point_times import AUTO
from any2seg_ros.messages.sizes import LARGEST, check_area
from any2seg_ros.preprocessing import HealthConfig
from any2seg_ros.preprocessing.camera_models import field_of_view, transform
from any2seg_ros.preprocessing.intensity import IntensityConfig
from any2seg_ros.runtime.decode_budget import DecodeBudget
from any2seg_ros.runtime.event_stream import EventLimits
from any2seg_ros.runtime.pipeline import PipelineConfig
from any2seg_ros.runtime.rendering import OutputConfig
from any2seg_ros.runtime.synchronizer import SynchronizerConfig, Timing
from any2seg_ros.types import IDENTITY, Camera, InvalidMeasurement, Modality

_RGB, _DEPTH, _LIDAR, _EVENT = Modality
_CAMERAS = (_RGB, _DEPTH, _EVENT)
_TRANSPORTS = {
    _RGB: ("raw", "compressed", "ffmpeg", "foxglove"),
    _DEPTH: ("raw", "compressedDepth"),
    _LIDAR: ("raw",),
    _EVENT: ("raw", "compressed"),
}
LEAST_RATE = 1e-3
_LIMITS = {item.name for item in fields(HealthConfig)}
EVENT_TYPES = ("packet", "dvs", "prophesee", "image")
SECTIONS = ("/**", "segmenter", "/segmenter")
"""Sections of a parameter file that are the node's; `/car/segmenter` is, too."""
FILES = ("model", "reference_file")
"""Parameters that name files on the vehicle."""
OF_ROS = ("qos_overrides.", "diagnostic_updater.", "use_sim_time", "start_type_description_service")
"""Names of parameters that the node has from ROS: `ros2 param dump` writes them as well."""


@dataclass(frozen=True)
class SensorParameters:
    """One sensor's parameters; their names begin with the sensor's."""

    enabled: bool = setting(True, "use the sensor", live=True)
    transport: str = setting(
        "raw",
        "image transport: raw, compressed, compressedDepth (depth), or video of rgb: ffmpeg "
        "(FFMPEGPacket) or foxglove (CompressedVideo)",
        only=_CAMERAS,
    )
    type: str = setting(
        "packet",
        "event messages: packet (event_camera_msgs/EventPacket), dvs or prophesee (EventArray), "
        "image (event images)",
        choices=EVENT_TYPES,
        only=(_EVENT,),
    )
    maximum_packet: float = setting(
        EventLimits.maximum_packet,
        "max size of an event message, above which it is refused before decoding; an event of an "
        "EventArray counts as 20 bytes; 0 for no limit",
        "MB",
        low=0,
        high=1000,
        only=(_EVENT,),
    )
    maximum_bandwidth: float = setting(
        EventLimits.maximum_bandwidth,
        "max event data rate over 0.1 s, above which all is refused before decoding; 0 for no "
        "limit",
        "MB/s",
        low=0,
        high=10000,
        only=(_EVENT,),
    )
    reliable: str = setting(
        "auto",
        "subscribe with reliable QoS; auto where all publishers of the topic offer it",
        choices=("auto", "yes", "no"),
    )
    registered: bool = setting(
        False,
        "already aligned with the reference camera: camera_info and extrinsics are not used",
        only=(_DEPTH, _EVENT),
    )
    extrinsics: str = setting(
        "tf",
        "pose of the sensor frame in the reference camera frame: tf, or 'x y z qx qy qz qw' in m",
    )
    offset: float = setting(0.0, "offset added to the sensor's stamps", "s", low=-10, high=10)
    window: float = setting(
        Timing.window,
        "max time between a measurement and its frame; of event streams, the length of the slice",
        "s",
        low=0,
        high=2,
    )
    hold: float = setting(
        0.0,
        "max age of an older measurement that replaces a missing one; not of event streams",
        "s",
        low=0,
        high=10,
    )
    decode_budget: float = setting(
        0.25,
        "max processor time to decode and project one measurement, of events those of 0.1 s; a "
        "sensor that takes more again and again is refused for a while, and the others go on; 0 "
        "for no limit",
        "s",
        low=0,
        high=60,
    )
    health: HealthConfig = HealthConfig()
    """Its limits are parameters of the sensor's."""
    topic: str = setting(
        "",
        "topic of the sensor, transport included; empty for rgb/image, depth/image, lidar/points, "
        "event/packets or event/image, which can be remapped",
    )
    camera_info: str = setting(
        "",
        "topic of its camera_info; empty for rgb/camera_info and so on, which can be remapped",
        only=_CAMERAS,
    )
    rectified: str = setting(
        "auto",
        "rectified images, whose geometry is P of camera_info without D; auto goes by the topic's "
        "name, such as image_rect",
        choices=("auto", "yes", "no"),
        only=_CAMERAS,
    )
    intensity_field: str = setting(
        IntensityConfig.field,
        "field of the cloud that is its intensity; auto takes a calibrated reflectivity before "
        "intensity",
        only=(_LIDAR,),
    )
    intensity_scale: float = setting(
        IntensityConfig.scale,
        "factor that scales the intensity to 0..1; 0 estimates it from many clouds",
        low=0,
        high=1e6,
        only=(_LIDAR,),
    )
    time_field: str = setting(
        AUTO,
        "field of the cloud with the time of each point, for motion_compensation; auto takes t, "
        "time, timestamp, time_stamp, time_offset or offset_time; none: all points are of the "
        "stamp, as in clouds that the driver has compensated already",
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
        EngineConfig.model,
        "weights: real or streets of the package, a file (.safetensors), or a published network's "
        "(.pth); empty for real",
    )
    engine: str = setting(
        EngineConfig.engine,
        "inference engine",
        choices=("auto", "torch", "openvino", "onnxruntime"),
    )
    device: str = setting(EngineConfig.device, "auto, cpu, cuda, or an OpenVINO device name")
    precision: str = setting(EngineConfig.precision, "auto, f32, bf16 or f16")
    threads: int = setting(
        EngineConfig.threads, "CPU threads of the engine; 0 for its own choice", low=0, high=256
    )
    network_width: int = setting(
        EngineConfig.width, "width of the network input; 0 as trained", "px", low=0, high=4096
    )
    network_height: int = setting(
        EngineConfig.height,
        "height of the network input; 0 as trained; smaller is faster and coarser",
        "px",
        low=0,
        high=4096,
    )
    autostart: bool = setting(True, "configure and activate on startup")
    executor: str = setting(
        "single_threaded",
        "rclpy executor; events where rclpy has it",
        choices=("single_threaded", "events"),
    )
    anchors: tuple[str, ...] = setting(
        tuple(m.label for m in SynchronizerConfig.anchors),
        "trigger sensors by preference: measurements of the first live one trigger frames",
    )
    deadline: float = setting(
        SynchronizerConfig.deadline,
        "max wait for missing sensors after the trigger arrives",
        "s",
        low=0,
        high=10,
    )
    period: float = setting(
        SynchronizerConfig.period,
        "period of frames triggered by events; sensor timeouts are multiples of it",
        "s",
        low=0.001,
        high=10,
    )
    maximum_rate: float = setting(
        SynchronizerConfig.maximum_rate,
        "max output rate, on average; 0 for no limit",
        "Hz",
        low=0,
        high=1000,
        live=True,
    )
    dead_after: int = setting(
        SynchronizerConfig.dead_after,
        "missed frames in a row after which a sensor is no longer waited for",
        low=1,
        high=1000,
    )
    jump: float = setting(
        SynchronizerConfig.jump,
        "backward jump of the stamps that resets the synchronizer",
        "s",
        low=0.01,
        high=3600,
    )
    replay: str = setting(
        "auto",
        "release frames by stamps only, independent of the clock; auto: with simulated time",
        choices=("auto", "yes", "no"),
    )
    motion_compensation: str = setting(
        "",
        "frame that stands still in the world, such as odom: measurements are moved to the time of "
        "their frame by the vehicle's motion in it, as TF tells it; empty for no compensation",
    )
    width: int = setting(
        0, "width of the outputs; 0 for the reference camera's", "px", low=0, high=16384
    )
    height: int = setting(
        0, "height of the outputs; 0 for the reference camera's", "px", low=0, high=16384
    )
    header_frame: str = setting(
        OutputConfig.header_frame,
        "frame_id of the masks: anchor (the trigger's header, unchanged) or reference (that of "
        "the reference camera, whose pixels the masks have)",
        choices=("anchor", "reference"),
        live=True,
    )
    confidence_encoding: str = setting(
        "mono8",
        "encoding of the confidence: mono8 (0..255) or 32FC1 (0..1)",
        choices=("mono8", "32FC1"),
        live=True,
    )
    minimum_confidence: float = setting(
        0.0,
        "confidence below which a mask pixel is unlabelled (255)",
        low=0,
        high=1,
        live=True,
    )
    overlay_opacity: float = setting(
        0.5, "opacity of the class colours over the camera image", low=0, high=1, live=True
    )
    organized_points: bool = setting(
        OutputConfig.organized_points,
        "~/points has a point for every pixel of the mask, NaN where there is no depth, as nav2's "
        "semantic_segmentation_layer needs it; otherwise only the points that there are",
        live=True,
    )
    status_period: float = setting(0.2, "max time between status messages", "s", low=0.02, high=0.4)
    silent_after: float = setting(
        0.3, "time without messages after which a sensor is silent", "s", low=0.05, high=10
    )
    diagnostics_period: float = setting(1.0, "period of the diagnostics", "s", low=0.1, high=60)
    watchdog: float = setting(
        0.0,
        "time without masks while sensors are received, after which the process ends with exit "
        "code 70 so that it is respawned; 0 for never",
        "s",
        low=0,
        high=3600,
        live=True,
    )
    reference_file: str = setting(
        "", "file that keeps the reference camera across restarts; empty for none"
    )
    reference_pinned: bool = setting(
        False,
        "keep the reference camera of reference_file, or the first one that is stored there, "
        "whatever rgb/camera_info says",
    )
    freeze_files: bool = setting(
        False,
        "what names a file (model, reference_file) can be given at the start alone, and nobody in "
        "the graph can change it",
    )
    reference_frame: str = setting(
        "", "TF frame of the reference camera; empty for the frame_id of its camera_info"
    )
    reference_width: int = setting(
        0,
        "image width of the reference camera; 0 to take the camera from rgb/camera_info",
        "px",
        low=0,
        high=32768,
    )
    reference_height: int = setting(
        0, "image height of the reference camera", "px", low=0, high=32768
    )
    reference_k: str = setting("", "intrinsics of the reference camera: 'fx fy cx cy'", "px")
    reference_d: str = setting(
        "", "distortion coefficients of the reference camera, in the order of camera_info"
    )
    reference_model: str = setting(
        "plumb_bob",
        "distortion model of the reference camera",
        choices=("plumb_bob", "rational_polynomial", "equidistant"),
    )
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
            self.organized_points,
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
        event = self.sensors[_EVENT]
        limits = EventLimits(event.maximum_packet, event.maximum_bandwidth)
        return PipelineConfig(health, offsets, size, intensity, limits, lidar.time_field)

    def decode_budgets(self) -> dict[Modality, DecodeBudget]:
        """How long each sensor's measurements may take."""
        return {
            m: DecodeBudget(sensor.decode_budget, f"{m.label}.decode_budget")
            for m, sensor in self.sensors.items()
        }

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

    def topics(self) -> dict[str, str]:
        """Topics that are given, by the sensor's name."""
        return {m.label: s.topic for m, s in self.sensors.items() if s.topic and s.enabled}

    def check(self) -> None:
        """ValueError that names the parameter that is wrong, its value and its range."""
        for entry in entries():
            entry.info.check(entry.name, self.get(entry.name))
        for modality, sensor in self.sensors.items():
            transports = FieldInfo("", choices=_TRANSPORTS[modality])
            transports.check(f"{modality.label}.transport", sensor.transport)
            self.pose(modality)
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


def entries() -> Iterator[Entry]:
    """Every parameter of the node, those of the sensors last."""
    for item in fields(NodeParameters):
        info = info_of(item)
        if info is not None:
            yield Entry(item.name, item.default, info)
    for modality, sensor in _sensors().items():
        for owner in (sensor, sensor.health):
            for item in fields(owner):
                info = info_of(item)
                if info is not None and modality in info.only:
                    yield Entry(f"{modality.label}.{item.name}", getattr(owner, item.name), info)


def load_parameters(path: Path) -> NodeParameters:
    """The parameters in a ROS parameter file, such as config/any2seg.yaml.

    FileNotFoundError; ValueError names the file and the parameter.
    """
    content = read_yaml(path)
    values: dict[str, Any] = {}
    named = [n for n in content if n not in SECTIONS and str(n).endswith("/segmenter")]
    if len(named) > 1:
        raise ValueError(f"{path} has sections of several nodes: {', '.join(named)}")
    sections = (*SECTIONS, *named)
    for name in sections:
        if name in content:
            section = content[name]
            if not isinstance(section, dict) or "ros__parameters" not in section:
                raise ValueError(f"{path}: section '{name}' has no ros__parameters")
            values |= _flat(section["ros__parameters"] or {})
    if not set(sections) & content.keys():
        raise ValueError(f"{path} has no section of the node: {' or '.join(SECTIONS)}")
    values = {name: value for name, value in values.items() if not str(name).startswith(OF_ROS)}
    try:
        check_keys(values, [entry.name for entry in entries()])
        return from_values(values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Parameters by full name of a mapping of mappings."""
    if not isinstance(values, dict):
        return {prefix.rstrip(".") or "ros__parameters": values}
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return flat


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
    kind: Any = type(entry.default)
    if entry.switch and isinstance(value, bool):
        value = "yes" if value else "no"
    elif entry.switch and not isinstance(value, str):
        raise ValueError(f"{entry.name} is {value!r}, but must be {entry.info.range}")
    if kind is tuple:
        kind, value = tuple[str, ...], () if value is None else value
    return convert(kind, value, entry.name, ros=True)


def parameters_yaml() -> str:
    """config/any2seg.yaml: every parameter with its default, commented."""
    parts = ["/**:\n  ros__parameters:\n"]
    section = ""
    for entry in entries():
        head = entry.name.rpartition(".")[0]
        if head != section:
            parts.append(f"\n    {head}:\n")
            section = head
        parts.append(entry_yaml(entry, "      " if head else "    "))
    return "".join(parts)


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
    print(parameters_yaml(), end="")
