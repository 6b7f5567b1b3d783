"""What the launch file's arguments make of topics; it needs no `launch`."""

from __future__ import annotations

from pathlib import PurePosixPath

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
    """From the topics of config/any2seg.rviz to where a namespace and the arguments put them."""
    space = "/" + values["namespace"].strip("/") if values["namespace"] else ""
    ours = [f"/segmenter/{output}" for output in ("overlay", "confidence", "points")]
    camera = values["rgb_topic"]
    chosen = {topic: space + topic for topic in ours}
    chosen["/rgb/image"] = camera if camera.startswith("/") else f"{space}/{camera}"
    return [(topic, target) for topic, target in chosen.items() if target != topic]
