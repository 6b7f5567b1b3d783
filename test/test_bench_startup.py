"""The start-up benchmark: what it measures, and the damage that it does to cached graphs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from any2seg_ros.bench import startup
from any2seg_ros.bench.startup import _part, _processor_s, flip_bits, process
from any2seg_ros.node.launching import RESPAWN_DELAY_S
from any2seg_ros.resources import find

WEIGHTS = "models/any2seg_streets.safetensors"


def test_the_same_bits_are_flipped_and_the_header_is_spared(tmp_path: Path) -> None:
    content = bytes(range(256)) * 64
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(content)
        flip_bits(tmp_path / name, 20)
    damaged = (tmp_path / "a").read_bytes()
    assert damaged == (tmp_path / "b").read_bytes()
    assert damaged[:4096] == content[:4096]
    flipped = sum((x ^ y).bit_count() for x, y in zip(damaged, content, strict=True))
    assert 0 < flipped <= 20


def test_a_part_has_the_cpu_time_that_was_used_in_it() -> None:
    parts: dict[str, float] = {}
    with _part("sleep", parts):
        time.sleep(0.2)
    with _part("work", parts):
        end = _processor_s() + 0.2
        while _processor_s() < end:
            pass
    assert parts["sleep"] < parts["work"]
    assert parts["work"] >= 0.2


@pytest.mark.timeout(600)
def test_a_start_is_measured_in_a_process_of_its_own() -> None:
    pytest.importorskip("openvino", reason="the engine whose start is measured")
    figures = process(find(WEIGHTS), {})
    assert set(figures["parts_s"]) == {"python", "imports", "weights", "graphs", "mask"}
    assert figures["processor_s"] >= 0.9 * sum(figures["parts_s"].values())
    assert figures["most_mib"] >= 0.9 * figures["resident_mib"] > 0


def test_a_start_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError, match="exited with code"):
        process(tmp_path / "absent.safetensors", {})


def test_a_node_that_was_killed_is_started_when_the_launch_file_would(tmp_path, monkeypatch):
    """And the time until then counts."""
    now, masks = [100.0], []

    class Node:
        """Has a mask two seconds after its start."""

        def __init__(self, *arguments: object) -> None:
            masks.append(now[0] + 2.0)

        def __enter__(self) -> Node:
            return self

        def __exit__(self, *error: object) -> None: ...

        def wait_until(self, ready: Callable[[], object], seconds: float, what: str) -> None:
            assert ready()

        def cpu_seconds(self) -> float:
            return 1.0

        def memory_mib(self) -> float:
            return 300.0

        def stop(self, number: int) -> None:
            masks.append(now[0])  # one that was on its way

    monkeypatch.setattr(startup, "NodeProcess", Node)
    monkeypatch.setattr(startup.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(startup.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    figures = startup.started_and_killed(tmp_path, masks, {})
    assert figures["start"]["wall_s"] == 2.0
    assert figures["after_kill"]["wall_s"] == 2.0 + RESPAWN_DELAY_S
