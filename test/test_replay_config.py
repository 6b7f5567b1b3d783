"""What a replay does by default, and what it refuses."""

from __future__ import annotations

import pytest

from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.runtime.outputs import TOPICS


def test_everything_that_the_node_publishes_is_written_by_default():
    assert ReplayConfig().outputs == tuple(TOPICS) and not ReplayConfig().faults


def test_an_output_that_the_node_does_not_have_is_refused_with_those_that_it_has():
    with pytest.raises(ValueError, match="unknown output 'masks': use some of mask, confidence"):
        ReplayConfig(outputs=("mask", "masks"))
