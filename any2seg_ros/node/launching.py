"""What the launch file's arguments make of topics; it needs no `launch`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from any2seg_ros.runtime.parameters import NodeParameters, SensorParameters, load_parameters
from any2seg_ros.types import Modality

TOPICS = {
    "rgb_topic": ("rgb/image", "camera image (the base topic where it is compressed)"),
    "depth_topic": ("depth/image", "depth image (the base topic where it is compressed)"),
    "lidar_topic": ("lidar/points", "point cloud"),
    "event_topic": ("event/packets", "packets of events, or ready event images"),
}
INFOS = {
    "rgb_info_topic": ("rgb/camera_info", "rgb_topic"),
    "depth_info_topic": ("depth/camera_info", "depth_topic"),
    "event_info_topic": ("event/camera_info", "event_topic"),
}
"""The node's topic, and beside whose topic it is where nothing else is said."""

RESPAWN_DELAY_S = 0.5
"""s after its end at which the launch file starts the node again; a start takes seconds itself."""


def remappings(values: dict[str, str]) -> list[tuple[str, str]]:
    """From the node's topics to those of the arguments; ready event images are events too."""
    wanted = {topic: values[name] for name, (topic, _) in TOPICS.items()}
    for name, (topic, beside) in INFOS.items():
        wanted[topic] = values[name] or str(PurePosixPath(values[beside]).with_name("camera_info"))
    chosen = {topic: target for topic, target in wanted.items() if target != topic}
    if "event/packets" in chosen:
        chosen["event/image"] = chosen["event/packets"]
    return list(chosen.items())


def shown(values: dict[str, str]) -> list[tuple[str, str]]:
    """From the topics of config/any2seg.rviz to where a namespace and the arguments put them.

    The parameter file may name the camera's topic, as that of `any2seg inspect` does. RViz knows
    the transport of its images by the suffix of their topic.
    """
    space = "/" + values["namespace"].strip("/") if values["namespace"] else ""
    ours = [f"/segmenter/{output}" for output in ("overlay", "confidence", "points")]
    chosen = {topic: space + topic for topic in ours}
    given = _camera_in_file(values)
    camera, transport = given.topic, ""
    if not camera:
        camera, transport = values["rgb_topic"], values["rgb_transport"] or given.transport
    camera = camera if camera.startswith("/") else f"{space}/{camera}"
    chosen["/rgb/image"] = camera if transport in ("", "raw") else f"{camera}/{transport}"
    return [(topic, target) for topic, target in chosen.items() if target != topic]


def _camera_in_file(values: dict[str, str]) -> SensorParameters:
    """What the parameter file says of the camera; the node says what is wrong with the file."""
    try:
        return load_parameters(Path(values["params_file"])).sensors[Modality.RGB]
    except (OSError, ValueError):
        return NodeParameters().sensors[Modality.RGB]
