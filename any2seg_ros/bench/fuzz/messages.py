"""Mutated messages through the intake and the preparation of the node, as far as the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.bench.fuzz import samples
from any2seg_ros.bench.fuzz.mutation import Rng, mutated_message
from any2seg_ros.bench.fuzz.watching import BROKEN, Finding, Watch, unexpected
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.runtime.calibration import CalibrationTracker
from any2seg_ros.runtime.frame_tree import FrameTree
from any2seg_ros.runtime.intake import Intake
from any2seg_ros.runtime.monitor import Monitor
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.runtime.pipeline import Preparation
from any2seg_ros.runtime.synchronizer import Synchronizer
from any2seg_ros.types import Modality

BLOCK = 64
"""Messages to one intake, which keeps state from each to the next."""
_START = 5_000_000_000_000
_STEP = 25_000_000


class Receiver:
    """What the node makes of messages, without ROS and without a network."""

    def __init__(self) -> None:
        parameters = from_values({})
        self.said: list[str] = []
        self.now = _START
        self.preparation = Preparation(
            (96, 64), PreprocessingConfig(), parameters.pipeline_config()
        )
        self.intake = Intake(
            self.preparation,
            Synchronizer(parameters.synchronizer_config(0.05, True)),
            CalibrationTracker(parameters, lambda target, source: np.eye(4)),
            {modality: Monitor() for modality in Modality},
            lambda arrival: self.now,
            lambda modality, reason, arrival: self.said.append(reason),
        )
        self.tree = FrameTree()
        for modality in (Modality.RGB, Modality.DEPTH, Modality.EVENT):
            self.on_camera_info(modality, samples.camera_info(_START))

    def on_message(self, modality: Modality, message: Any) -> None:
        """Take a sensor's message, and prepare the frames that leave with it."""
        for frame in self.intake.on_message(modality, message, self.now):
            prepared = self.preparation.prepare(frame)
            self.said += prepared.frame.reasons.values()
            self.preparation.warm(frame.calibration)

    def on_camera_info(self, modality: Modality, message: Any) -> None:
        """Take a camera_info."""
        self.intake.on_camera_info(modality, message, self.now)

    def on_transform(self, modality: Modality, message: Any) -> None:
        """Take a transform of TF."""
        self.said.append(self.tree.refusal(message, False, self.now, self.now))


class MessageTarget:
    """Blocks of messages of all kinds, or of those whose names begin with `only`."""

    def __init__(self, name: str = "messages", only: str = "") -> None:
        self.name = name
        self.kinds = [one for one in samples.samples() if one[0].startswith(only)]

    @property
    def size(self) -> int:
        """Inputs in a block."""
        return BLOCK

    def run(self, rng: Rng, block: int, watch: Watch, found: Callable[[Finding], None]) -> None:
        """Feed one block to a new receiver."""
        receiver = Receiver()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            for index in range(BLOCK):
                self._run_one(rng, receiver, block, index, watch, found)
                while warned:
                    one = warned.pop()
                    text = f"{one.message} ({Path(one.filename).name}:{one.lineno})"
                    found(Finding(self.name, block, index, "warning", text))

    def _run_one(
        self,
        rng: Rng,
        receiver: Receiver,
        block: int,
        index: int,
        watch: Watch,
        found: Callable[[Finding], None],
    ) -> None:
        receiver.now += _STEP
        name, feed = self._input(rng, receiver)
        tell = _teller(self.name, block, index, name, found)
        receiver.said.clear()
        try:
            with watch.timed(lambda text: tell("slow", text)):
                feed()
        except Exception as error:
            tell("exception", unexpected(error, ()))
        for reason in receiver.said:
            if reason.startswith(BROKEN):
                tell("exception", reason)

    def _input(self, rng: Rng, receiver: Receiver) -> tuple[str, Callable[[], None]]:
        """The name of the next message, and what feeds it."""
        kind = int(rng.integers(len(self.kinds) + 3))
        if kind >= len(self.kinds):
            modality = Modality(int(rng.choice((0, 1, 3))))
            is_info = kind < len(self.kinds) + 2
            take = receiver.on_camera_info if is_info else receiver.on_transform
            make: samples.Sample = samples.camera_info if is_info else samples.transform
            name = f"{modality.label} camera_info" if is_info else "transform"
        else:
            name, modality, make = self.kinds[kind]
            take = receiver.on_message
        message = make(receiver.now)
        if rng.random() < 0.9:
            message = mutated_message(message, rng)
        return name, lambda: take(modality, message)


def _teller(
    target: str, block: int, index: int, name: str, found: Callable[[Finding], None]
) -> Callable[[str, str], None]:
    return lambda kind, what: found(Finding(target, block, index, kind, f"{name}: {what}"))
