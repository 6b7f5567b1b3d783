"""What goes wrong around the node: transforms, publishers, floods, states, signals."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import numpy as np
from geometry_msgs.msg import TransformStamped
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from any2seg_ros.bench.faults.hanging import inference_stopped
from any2seg_ros.bench.faults.scene import Scene
from any2seg_ros.bench.faults.vehicle import BEST_EFFORT, RELIABLE, Alter
from any2seg_ros.messages import as_bytes, from_array
from any2seg_ros.messages.kinds import TRANSFORMS, message_class, ros_message
from any2seg_ros.messages.making import time_message
from any2seg_ros.types import Modality

Make = Callable[[Scene], AbstractContextManager[Any]]
"""Of a scene, a block in which the fault is there."""


def messages(change: Callable[[], Alter], *modalities: Modality, info: bool = False) -> Make:
    """The messages of sensors are altered; `change` makes an Alter that knows nothing yet."""

    def make(scene: Scene) -> AbstractContextManager[Any]:
        stack = ExitStack()
        for modality in modalities:
            stack.enter_context(scene.vehicle.changed(change(), modality, info=info))
        return stack

    return make


def flood(modality: Modality, hertz: float, info: bool = False) -> Make:
    """A second publisher repeats the last message of a sensor so often."""

    def make(scene: Scene) -> AbstractContextManager[Any]:
        topic = scene.vehicle.topic(modality, info)
        return scene.flood(topic, scene.vehicle.log.types[topic], scene.vehicle.last[topic], hertz)

    return make


def event_storm(megabytes: float, packet: int = 40_000) -> Make:
    """Events of so many MB/s, in packets of so many bytes."""

    def make(scene: Scene) -> AbstractContextManager[Any]:
        topic = scene.vehicle.topic(Modality.EVENT)
        kind = scene.vehicle.log.types[topic]
        message: Any = deserialize_message(scene.vehicle.last[topic], message_class(kind))
        words = as_bytes(message.events)
        whole = np.tile(words, 1 + packet // max(1, len(words)))[: packet - packet % 2]
        message.events = from_array(whole)
        return scene.flood(topic, kind, serialize_message(message), megabytes * 1e6 / packet)

    return make


@contextmanager
def transforms(scene: Scene, *sent: TransformStamped, static: bool = False) -> Iterator[None]:
    """Transforms are published four times a second."""
    topic = "/tf_static" if static else "/tf"
    publisher = scene.vehicle.node.create_publisher(TFMessage, topic, QoSProfile(depth=10))
    timer = scene.vehicle.node.create_timer(
        0.25, lambda: publisher.publish(TFMessage(transforms=[_now(t) for t in sent]))
    )
    try:
        yield
    finally:
        scene.vehicle.node.destroy_timer(timer)
        scene.vehicle.node.destroy_publisher(publisher)


def tf(*links: tuple[str, str], x: float = 0.0, w: float = 1.0) -> Make:
    """Transforms from child to parent, moved by x."""
    return lambda scene: transforms(scene, *[link(*names, x=x, w=w) for names in links])


def tf_flood(hertz: float) -> Make:
    """One transform, that often."""
    cdr = serialize_message(TFMessage(transforms=[link("wheel", "base_link")]))
    return lambda scene: scene.flood("/tf", TRANSFORMS, cdr, hertz)


def tf_many(count: int) -> Make:
    """That many new frames, four times a second."""
    links = [link(f"frame_{n}", "base_link") for n in range(count)]
    return lambda scene: transforms(scene, *links)


@contextmanager
def tf_ends(scene: Scene) -> Iterator[None]:
    """The publisher of the transforms is gone."""
    scene.vehicle.withdraw_static()
    try:
        yield
    finally:
        scene.vehicle.publish_static()


def link(child: str, parent: str, x: float = 0.0, w: float = 1.0) -> TransformStamped:
    """A transform; its stamp is set when it is sent."""
    made = TransformStamped(child_frame_id=child)
    made.header.frame_id = parent
    made.transform.translation.x = x
    made.transform.rotation.w = w
    return made


def _now(transform: TransformStamped) -> TransformStamped:
    transform.header.stamp = time_message(ros_message, time.time_ns())
    return transform


def reopened(modality: Modality) -> Make:
    """A sensor's publishers are made anew, as when its driver starts again."""
    return _at_once(lambda scene: scene.vehicle.reopen(modality))


def best_effort(modality: Modality) -> Make:
    """A sensor's driver starts again with another QoS, and again with the one it had."""

    @contextmanager
    def make(scene: Scene) -> Iterator[None]:
        scene.vehicle.reopen(modality, BEST_EFFORT)
        try:
            yield
        finally:
            scene.vehicle.reopen(modality, RELIABLE)

    return make


def other_type(modality: Modality) -> Make:
    """Another process publishes a type of another kind on a sensor's topic."""
    cdr = serialize_message(TFMessage())
    return lambda scene: scene.flood(scene.vehicle.topic(modality), TRANSFORMS, cdr, 10.0)


@contextmanager
def listeners(scene: Scene) -> Iterator[None]:
    """Twenty more subscribers of the masks."""
    node = scene.vehicle.node
    more = [node.create_subscription(Image, "/segmenter/mask", _ignore, 5) for _ in range(20)]
    try:
        yield
    finally:
        for one in more:
            node.destroy_subscription(one)


@contextmanager
def time_jump(scene: Scene, seconds: float) -> Iterator[None]:
    """The clocks of all sensors jump, and back at the end."""
    scene.vehicle.stamp_shift = round(seconds * 1e9)
    try:
        yield
    finally:
        scene.vehicle.stamp_shift = 0


def states(*there: int, back: tuple[int, ...]) -> Make:
    """Transitions of the lifecycle, and those that lead back."""

    @contextmanager
    def make(scene: Scene) -> Iterator[None]:
        if not scene.change_state(*there):
            raise RuntimeError(f"transitions {there} failed")
        yield
        if not scene.change_state(*back):
            raise RuntimeError(f"transitions {back} failed")

    return make


DEACTIVATED = states(Transition.TRANSITION_DEACTIVATE, back=(Transition.TRANSITION_ACTIVATE,))
CLEANED_UP = states(
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
    back=(Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE),
)


@contextmanager
def switched(scene: Scene) -> Iterator[None]:
    """A sensor is disabled and enabled by parameter, ten times."""
    for _ in range(10):
        scene.set_parameter("event.enabled", False)
        scene.set_parameter("event.enabled", True)
    yield


@contextmanager
def wrong_parameters(scene: Scene) -> Iterator[None]:
    """Values that cannot be; RuntimeError if one is taken."""
    wrong = (("overlay_opacity", 7.0), ("model", "other"), ("watchdog", -1.0), ("period", "x"))
    for name, value in wrong:
        if scene.set_parameter(name, value):
            raise RuntimeError(f"{name} = {value} was taken")
    yield


@contextmanager
def paused(scene: Scene) -> Iterator[None]:
    """SIGSTOP, as a debugger or a suspended container, and SIGCONT."""
    scene.process.send(signal.SIGSTOP)
    try:
        yield
    finally:
        scene.process.send(signal.SIGCONT)


def sent(number: int) -> Make:
    """A signal."""
    return _at_once(lambda scene: scene.process.send(number))


def hang(watchdog: float = 0.0) -> Make:
    """Inference does not come back; watchdog: the node's parameter, s."""

    @contextmanager
    def make(scene: Scene) -> Iterator[None]:
        def is_caught() -> bool:
            scene.vehicle.fresh()
            said = scene.vehicle.heard.said
            return (
                scene.vehicle.wait(lambda: any("busy" in text for text in [*said]), 3.0) is not None
            )

        with inference_stopped(scene.process.pid, is_caught):
            if watchdog and not scene.set_parameter("watchdog", watchdog):
                raise RuntimeError("watchdog cannot be set")
            yield

    return make


def _at_once(do: Callable[[Scene], None]) -> Make:
    @contextmanager
    def make(scene: Scene) -> Iterator[None]:
        do(scene)
        yield

    return make


def _ignore(message: Any) -> None:
    """Nothing: the node makes only what is subscribed to."""
