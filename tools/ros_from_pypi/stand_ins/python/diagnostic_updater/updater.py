"""Updater: runs diagnostic tasks and publishes their statuses on /diagnostics."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from diagnostic_updater.status import DiagnosticStatusWrapper
from rclpy.clock import ROSClock

Function = Callable[[DiagnosticStatusWrapper], DiagnosticStatusWrapper]
_PERIOD = "diagnostic_updater.period"
_USE_FQN = "diagnostic_updater.use_fqn"


class DiagnosticTask:
    """A named task that fills a status."""

    def __init__(self, name: str) -> None:
        self.name = name

    def getName(self) -> str:
        return self.name

    def run(self, stat: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        return stat


class FunctionDiagnosticTask(DiagnosticTask):
    """A task made of a function."""

    def __init__(self, name: str, fn: Function) -> None:
        super().__init__(name)
        self.fn = fn

    def run(self, stat: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        return self.fn(stat)


class Updater:
    """Publishes the status of all its tasks, `<node>: <task>`, every `period` s and when forced."""

    def __init__(self, node: Any, period: float = 1.0) -> None:
        self.node = node
        self.hwid = ""
        self.verbose = False
        self.tasks: list[DiagnosticTask] = []
        self.lock = threading.Lock()
        self.clock = getattr(node, "get_clock", ROSClock)()
        self.publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self._period = float(_declared(node, _PERIOD, float(period)))
        named = _declared(node, _USE_FQN, False)
        self._node_name = node.get_fully_qualified_name() if named else node.get_name()
        self.timer = node.create_timer(self._period, self.update)

    @property
    def period(self) -> float:
        """Seconds between two updates of the timer."""
        return self._period

    @period.setter
    def period(self, seconds: float) -> None:
        self._period = seconds
        self.timer.timer_period_ns = round(seconds * 1e9)

    def setHardwareID(self, hwid: str) -> None:
        """Set the hardware id, such as a serial number."""
        self.hwid = hwid

    def add(self, *args: Any) -> None:
        """add(task) or add(name, function); publishes "starting up" for it at once."""
        task = args[0] if len(args) == 1 else FunctionDiagnosticTask(*args)
        with self.lock:
            self.tasks.append(task)
        starting = DiagnosticStatusWrapper(name=task.getName())
        starting.summary(DiagnosticStatus.OK, "Node starting up")
        self.publish(starting)

    def removeByName(self, name: str) -> bool:
        """Remove the first task of that name; returns whether there was one."""
        with self.lock:
            for task in self.tasks:
                if task.getName() == name:
                    self.tasks.remove(task)
                    return True
        return False

    def update(self) -> None:
        """Called by the timer."""
        self.force_update()

    def force_update(self) -> None:
        """Run all tasks now and publish their statuses."""
        with self.lock:
            statuses = [self._run(task) for task in self.tasks]
        self.publish(statuses)

    def _run(self, task: DiagnosticTask) -> DiagnosticStatusWrapper:
        status = DiagnosticStatusWrapper(name=task.getName(), hardware_id=self.hwid)
        status.summary(DiagnosticStatus.ERROR, "No message was set")
        return task.run(status)

    def broadcast(self, lvl: bytes, msg: str) -> None:
        """Publish the same summary for every task."""
        statuses = []
        for task in self.tasks:
            status = DiagnosticStatusWrapper(name=task.getName())
            status.summary(lvl, msg)
            statuses.append(status)
        self.publish(statuses)

    def publish(self, msg: DiagnosticStatus | list[DiagnosticStatus]) -> None:
        """Publish one status or several, named after the node."""
        array = DiagnosticArray()
        for status in msg if isinstance(msg, list) else [msg]:
            plain = DiagnosticStatus(
                level=status.level,
                name=f"{self._node_name}: {status.name}",
                message=status.message,
                hardware_id=status.hardware_id,
                values=status.values,
            )
            array.status.append(plain)
        array.header.stamp = self.clock.now().to_msg()
        self.publisher.publish(array)


def _declared(node: Any, name: str, default: Any) -> Any:
    if not node.has_parameter(name):
        node.declare_parameter(name, default)
    return node.get_parameter(name).value
