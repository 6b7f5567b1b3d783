"""Writes what the node would publish for a bag's frames to an output bag."""

from __future__ import annotations

from collections import Counter
from typing import Any

from any2seg_ros.bags import OutputBag
from any2seg_ros.messages.making import header_message
from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.runtime.bag_player import BagPlayer
from any2seg_ros.runtime.outputs import LATCHED, label_info, mask_header, outputs
from any2seg_ros.runtime.pipeline import Result
from any2seg_ros.runtime.status import Latencies, NodeState, idle_status, status_of
from any2seg_ros.taxonomy import Taxonomy


class OutputRecorder:
    """Writes the node's topics; `counts` says how many messages each has.

    A status has the stages that do not depend on the machine: the wait, in the bag's time.
    """

    def __init__(
        self,
        bag: OutputBag,
        taxonomy: Taxonomy,
        player: BagPlayer,
        config: ReplayConfig,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._bag, self._taxonomy, self._player = bag, taxonomy, player
        self._wanted = set(config.outputs)
        self._config = config.parameters.output_config()
        self._state = NodeState(player.monitors)
        self._state.begin(config.parameters)
        own = self._own_header(player.start)
        classes = label_info(bag.message, taxonomy, own, self._config.minimum_confidence)
        self._send("label_info", classes, player.start)

    def write(self, result: Result, log_time: int) -> None:
        """All outputs of a frame; of one with nothing usable, only its status."""
        state, anchor = self._state, result.anchor
        state.on_result(result, log_time)
        state.count(result, log_time)
        if anchor is None:
            return
        make = self._bag.message
        if result.segmentation is not None:
            made = outputs(make, result, self._config, self._taxonomy)
            for name, make_one in made.items():
                if name in self._wanted:
                    self._send(name, make_one(), log_time)
        wait = max(log_time - anchor.arrival, 0) * 1e-9
        state.latencies = Latencies(wait=wait, total=wait)
        self._count()
        header = mask_header(make, result, self._config)
        self._send("status", status_of(make, state, result, header), log_time)

    def write_idle(self, log_time: int) -> None:
        """The status while there is no frame."""
        self._state.idle(log_time)
        self._count()
        own = self._own_header(log_time)
        status = idle_status(self._bag.message, self._state, own, log_time)
        self._send("status", status, log_time)

    def _count(self) -> None:
        made, counters = self._player.synchronizer.counters, self._state.counters
        counters.frames_in, counters.late = made.opened, made.late
        counters.resets, counters.reset = made.resets, made.forgotten

    def _own_header(self, stamp: int) -> Any:
        return header_message(self._bag.message, stamp, self._player.calibration.reference_frame)

    def _send(self, output: str, message: Any, log_time: int) -> None:
        if output in self._wanted:
            self._bag.write(output, message, log_time, latched=output in LATCHED)
            self.counts[output] += 1
