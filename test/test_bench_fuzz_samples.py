"""The messages that the fuzzer begins with are good: a node takes them."""

from __future__ import annotations

import pytest

from any2seg_ros.bench.fuzz import samples
from any2seg_ros.bench.fuzz.messages import Receiver

REFUSED = {"rgb 16UC1", "depth rvl", "event libcaer_cmp"}
"""Of an encoding that is read, but not for this, or of nonsense."""


@pytest.mark.parametrize("name", [name for name, *_ in samples.samples()])
def test_a_node_takes_them(name) -> None:
    modality, make = next(rest for one, *rest in samples.samples() if one == name)
    receiver = Receiver()
    used = set()
    for _ in range(12):
        receiver.now += 100_000_000
        for frame in receiver.intake.on_message(modality, make(receiver.now), receiver.now):
            used |= set(receiver.preparation.prepare(frame).frame.measurements)
    assert used == (set() if name in REFUSED else {modality})
