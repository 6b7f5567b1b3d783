"""NodeParameters as ROS parameters: declared, read, and checked when somebody sets them."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import NameValidationException, ParameterUninitializedException
from rclpy.validate_topic_name import validate_topic_name

from any2seg_ros.configuration import Entry
from any2seg_ros.node.subscriptions import type_of
from any2seg_ros.runtime.parameters import FILES, OF_ROS, NodeParameters, entries, from_values
from any2seg_ros.types import plain

_FREEZE = "freeze_files"


class RosParameters:
    """Declares every parameter of NodeParameters on a node and keeps their values."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._entries = {entry.name: entry for entry in entries()}
        node.declare_parameter(_FREEZE, False, _descriptor(self._entries[_FREEZE], True))
        fixed = FILES if node.get_parameter(_FREEZE).value else ()
        for entry in self._entries.values():
            if entry.name != _FREEZE:
                value = list(entry.default) if isinstance(entry.default, tuple) else entry.default
                described = _descriptor(entry, entry.name in fixed)
                node.declare_parameter(entry.name, value, described)
        self.parameters = NodeParameters()
        given = getattr(node, "_parameter_overrides", {})  # rclpy has no public name for them
        strange = [name for name in given if not node.has_parameter(name) and _ours(name)]
        if strange:
            node.get_logger().warning(f"unknown parameters, ignored: {', '.join(sorted(strange))}")

    def read(self) -> NodeParameters:
        """Take the values that the node has now; ValueError says which is wrong."""
        wanted = from_values(self._values())
        _check_topics(wanted)
        self.parameters = wanted
        return self.parameters

    def check(self, changes: list[Any]) -> SetParametersResult:
        """Refuse, with the reason, values that are wrong and those that a running node cannot take.

        Before the node is configured everything can be set, one after another.
        """
        ours = [change for change in changes if change.name in self._entries]
        running = self._node.running
        for change in ours:
            if running and not self._entries[change.name].live:
                return _refused(
                    f"{change.name} cannot be changed while the node runs: "
                    "set it after cleanup, then configure again"
                )
        try:
            changed = {change.name: change.value for change in ours}
            wanted = from_values(self._values() | changed, together=running)
            _check_topics(wanted)
            for modality, sensor in wanted.sensors.items():
                if running and sensor.enabled:
                    type_of(modality, wanted)
        except (ValueError, ImportError) as error:
            return _refused(str(error))
        return SetParametersResult(successful=True)

    def accept(self, changes: list[Any]) -> tuple[NodeParameters, NodeParameters]:
        """The parameters before and after changes that passed `check`."""
        before = self.parameters
        ours = {change.name: change.value for change in changes if change.name in self._entries}
        self.parameters = from_values(self._values() | ours, together=False)
        return before, self.parameters

    def _values(self) -> dict[str, Any]:
        return {name: self._value(name) for name in self._entries}

    def _value(self, name: str) -> Any:
        try:
            return self._node.get_parameter(name).value
        except ParameterUninitializedException:  # an empty list in a file has no type
            return None


def _check_topics(parameters: NodeParameters) -> None:
    """ValueError for a topic that ROS cannot have. One of a bag may have any name."""
    for modality, sensor in parameters.sensors.items():
        for name in ("topic", "camera_info"):
            topic = getattr(sensor, name)
            try:
                if topic:
                    validate_topic_name(topic)
            except NameValidationException as error:
                why = str(error).splitlines()[0].rpartition("name: ")[2].rstrip(":")
                raise ValueError(f"{modality.label}.{name} is '{plain(topic)}': {why}") from None


def _ours(name: str) -> bool:
    return not name.startswith(OF_ROS)


def _descriptor(entry: Entry, read_only: bool = False) -> ParameterDescriptor:
    # Words that YAML reads as true and false arrive as either.
    descriptor = ParameterDescriptor(
        name=entry.name,
        description=entry.text,
        dynamic_typing=entry.switch,
        read_only=read_only,
    )
    if entry.low is None or entry.high is None:
        return descriptor
    if isinstance(entry.default, int):
        limits = IntegerRange(from_value=int(entry.low), to_value=int(entry.high), step=0)
        descriptor.integer_range = [limits]
    else:
        bounds = FloatingPointRange(
            from_value=float(entry.low), to_value=float(entry.high), step=0.0
        )
        descriptor.floating_point_range = [bounds]
    return descriptor


def _refused(reason: str) -> SetParametersResult:
    return SetParametersResult(successful=False, reason=reason)
