"""The node as a process, the vehicle that plays to it, and what can be done to both."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from any2seg_ros import resources
from any2seg_ros.bench.faults.vehicle import Vehicle
from any2seg_ros.demo.player import SensorLog
from any2seg_ros.demo.process import NodeProcess
from any2seg_ros.types import Modality

if TYPE_CHECKING:
    from typing_extensions import Self

START_S = 300.0
"""Max time until the first mask of all sensors: the engine may have to convert its graphs."""
_FLOOD = "any2seg_ros.bench.faults.flood"


class WatchedProcess(NodeProcess):
    """A NodeProcess of which more is known."""

    @property
    def code(self) -> int | None:
        """Its exit code; None while it lives."""
        return self._process.poll()

    def send(self, number: int) -> None:
        """Send a signal."""
        if self.lives:
            self._process.send_signal(number)


class Scene:
    """A `with` block with a node that runs, and a vehicle that plays to it.

    parameters: more arguments of the node, such as ("-p", "model:=...").
    """

    def __init__(self, bag: Path | None = None, parameters: Sequence[str] = ()) -> None:
        self._bag = bag or resources.find("demo_data/streets")
        demo = str(resources.find("config/demo.yaml"))
        self._arguments = ["--ros-args", "--params-file", demo, *parameters]
        self._read = 0
        self.flooded: float | None = None
        """MB/s that the last flood really published."""
        self.held_up = ""
        """Why that was no flood; empty if it was."""

    def __enter__(self) -> Self:
        import rclpy
        from rclpy.signals import SignalHandlerOptions

        # Ctrl-C is Python's, so that it ends the blocks that clean up.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._folder = tempfile.TemporaryDirectory(prefix="any2seg-faults-")
        self.folder = Path(self._folder.name)
        self._node = rclpy.create_node("vehicle")
        self.vehicle = Vehicle(self._node, SensorLog(self._bag))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        import rclpy

        self.process.send(signal.SIGCONT)
        self.process.stop()
        self.vehicle.close()
        self._node.destroy_node()
        rclpy.try_shutdown()
        self._folder.cleanup()

    def start(self) -> None:
        """Start the node and wait for a mask of all sensors."""
        self.vehicle.forget_node()
        self.vehicle.fresh()
        self._read = 0
        self.process = WatchedProcess(self.folder / "node.log", self._arguments)
        self.process.__enter__()
        self.process.wait_until(
            lambda: self.vehicle.uses(frozenset(Modality)), START_S, "mask of all four sensors"
        )

    def new_log(self) -> list[str]:
        """Lines that the node has logged since the last time."""
        text = self.process.log.read_text(errors="replace")
        lines, self._read = text[self._read :].splitlines(), len(text)
        return lines

    def change_state(self, *transitions: int) -> bool:
        """Ask the lifecycle node for transitions; whether all succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        for number in transitions:
            request = ChangeState.Request(transition=Transition(id=number))
            answer = self.ask("change_state", ChangeState, request)
            if answer is None or not answer.success:
                return False
        self.vehicle.forget_node()
        return True

    def set_parameter(self, name: str, value: bool | float | str) -> bool:
        """Set a parameter of the node; whether it was taken."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        given = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[given])
        answer = self.ask("set_parameters", SetParameters, request)
        return answer is not None and all(result.successful for result in answer.results)

    def ask(self, service: str, kind: type, request: Any, seconds: float = 30.0) -> Any:
        """The answer of a service of the node; None if none came."""
        client: Any = self._node.create_client(kind, f"/segmenter/{service}")
        try:
            if not client.wait_for_service(seconds):
                return None
            future = client.call_async(request)
            self.vehicle.wait(future.done, seconds)
            return future.result() if future.done() else None
        finally:
            self._node.destroy_client(client)

    @contextmanager
    def flood(self, topic: str, kind: str, cdr: bytes, hertz: float) -> Iterator[None]:
        """Within the block another process publishes this message so many times a second."""
        sample = self.folder / "flood.cdr"
        sample.write_bytes(cdr)
        command = [sys.executable, "-m", _FLOOD, topic, kind, str(sample), str(hertz)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdout.readline()  # it is about to begin
                yield
                process.stdin.close()
                reached = float(process.stdout.readline() or 0)
                self.flooded = reached * len(cdr) * 1e-6
                if reached < 0.7 * hertz:
                    self.held_up = f"the flood had {reached:.0f} of {hertz:.0f} messages/s"
            finally:
                process.kill()
