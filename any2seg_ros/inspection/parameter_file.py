"""The parameters for a bag's vehicle, as a file that the node and replay take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from any2seg_ros.inspection.bag import BagInspection
from any2seg_ros.messages.kinds import COMPRESSED, FFMPEG, IMAGE, VIDEO
from any2seg_ros.runtime.parameters import NodeParameters, from_values
from any2seg_ros.types import Modality

_SLOW = 0.15
"""s between the camera's images from which the node is told to expect fewer frames."""

_MARGIN = 1.5
_PATIENCE = 0.2
"""Part of a slow sensor's interval for which others are waited for."""


def parameters_of(found: BagInspection) -> dict[str, Any]:
    """Values by the node's parameter names: only those that differ from its defaults."""
    values: dict[str, Any] = {}
    for modality in Modality:
        values |= _of_sensor(modality, found)
    values |= _of_times(found, values)
    from_values(values)
    return values


def _of_sensor(modality: Modality, found: BagInspection) -> dict[str, Any]:
    name, stats = modality.label, found.sensor(modality)
    if stats is None:
        return {f"{name}.enabled": False}
    values: dict[str, Any] = {f"{name}.topic": stats.topic}
    if modality != Modality.LIDAR:
        values |= _of_transport(modality, stats.topic, stats.type)
    info = found.layout.infos.get(modality)
    if info:
        values[f"{name}.camera_info"] = info
    elif modality in (Modality.DEPTH, Modality.EVENT):
        values[f"{name}.registered"] = True
    offset = found.offsets.get(modality)
    if offset is not None and offset.is_significant:
        values[f"{name}.offset"] = round(-offset.late, 3)
    return values


def _of_transport(modality: Modality, topic: str, kind: str) -> dict[str, Any]:
    name = modality.label
    transports = {IMAGE: "raw", COMPRESSED: "compressed", FFMPEG: "ffmpeg", VIDEO: "foxglove"}
    transport = transports.get(kind, "raw")
    if modality == Modality.DEPTH and transport == "compressed":
        transport = "compressedDepth"
    values: dict[str, Any] = {} if transport == "raw" else {f"{name}.transport": transport}
    if modality == Modality.EVENT:
        types = {"dvs_msgs": "dvs", "prophesee_event_msgs": "prophesee", "sensor_msgs": "image"}
        values["event.type"] = types.get(kind.split("/")[0], "packet")
    return values


def _of_times(found: BagInspection, given: Mapping[str, Any]) -> dict[str, Any]:
    """Slow sensors are waited for longer, and matched over a wider window."""
    values: dict[str, Any] = {}
    defaults = NodeParameters()
    first = next((s for m in Modality if (s := found.sensor(m)) and m != Modality.EVENT), None)
    if first is None:
        return values
    if first.interval > _SLOW:
        values["period"] = round(first.interval, 3)
    for modality in (Modality.RGB, Modality.DEPTH, Modality.LIDAR):
        stats = found.sensor(modality)
        if stats is None or stats is first:
            continue
        offset = given.get(f"{modality.label}.offset", 0.0)
        apart = first.difference(stats, offset)
        window = max(1.5 * apart, 0.3 * stats.interval if stats.interval > _SLOW else 0.0)
        if defaults.sensors[modality].window < window < 1.0:
            values[f"{modality.label}.window"] = round(window, 3)
        wait = _MARGIN * max(apart, first.later(stats, offset))
        if first.interval > _SLOW:
            # There is time to wait for what comes late, and it is waited for only where it does.
            wait = max(wait, _PATIENCE * first.interval)
        if defaults.deadline < wait < 1.0:
            values["deadline"] = max(values.get("deadline", 0.0), round(wait, 3))
    return values


def parameter_file(found: BagInspection) -> str:
    """The YAML, with why it is as it is."""
    nested: dict[str, Any] = {}
    for name, value in parameters_of(found).items():
        section, _, rest = name.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[rest] = value
    body: Mapping[str, Any] = {"/**": {"ros__parameters": nested}}
    lines = [
        f"# Made by `any2seg inspect` of {found.title}.",
        "# ros2 launch any2seg_ros any2seg.launch.py params_file:=THIS_FILE",
        "# any2seg replay --bag BAG --out FOLDER --params-file THIS_FILE",
    ]
    return "\n".join(lines) + "\n" + yaml.safe_dump(dict(body), sort_keys=False)
