"""What is made of what the node said under a fault, and a short run against a real node."""

from __future__ import annotations

import json
import signal
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import ros_vehicle

from any2seg_ros.bench.faults import __main__ as faults_main
from any2seg_ros.bench.faults import measuring
from any2seg_ros.bench.faults import vehicle as faults_vehicle
from any2seg_ros.bench.faults.__main__ import main
from any2seg_ros.bench.faults.matrix import Fault, faults
from any2seg_ros.bench.faults.measuring import Outcome, measure, recovery_after, shares, table
from any2seg_ros.bench.faults.vehicle import Heard, Mask, Vehicle
from any2seg_ros.messages.kinds import ros_message
from any2seg_ros.messages.making import time_message
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality
ALL = frozenset(Modality)
KEPT = Outcome(
    fault="rgb: drop", undone="", lived=True, exit_code=None, said="rgb: silent", silent=False,
    rate=1.0, others=0.99, cost=1.1, recovery_s=0.3, memory_mib=(400, 410), control=(1.0, 0.98),
    flooded_mb_s=None, reasons=["rgb: silent"],
)  # fmt: skip


RESUMED = ((-2101, 58, ALL), (19, 106, {EVENT}), (99, 241, ALL), (199, 315, ALL))
"""Masks of a node that was stopped for 2 s: stamp and arrival in ms from SIGCONT, and sensors."""
STARTED = 1_700_000_000_000_000_000


class Recorded:
    """A clock that nobody waits for, and a vehicle and a node that say then what was recorded."""

    def __init__(self, masks: Any, ended: int) -> None:
        self.now = STARTED
        self._due = [(ended + heard * 10**6, ended + at * 10**6, used) for at, heard, used in masks]
        self.vehicle: Any = Vehicle.__new__(Vehicle)
        self.vehicle.heard, self.vehicle._published = Heard(frames=10), 0
        self.vehicle._failure = None
        lives: dict[str, Any] = {"lives": True, "code": None}
        self.process = SimpleNamespace(
            **lives, cpu_seconds=lambda: 0.0, memory_mib=lambda: 0.0, check=lambda: None
        )

    def new_log(self) -> list[str]:
        return []

    def time_ns(self) -> int:
        return self.now

    def monotonic(self) -> float:
        return self.now * 1e-9

    def sleep(self, seconds: float) -> None:
        end = self.now + round(seconds * 1e9)
        while self._due and self._due[0][0] <= end:
            self.now, stamp, used = self._due.pop(0)
            self.vehicle._on_status(
                SimpleNamespace(
                    header=SimpleNamespace(stamp=time_message(ros_message, stamp)),
                    frames_published=self.vehicle._published + 1,
                    modalities=[
                        SimpleNamespace(modality=m.label, weight=float(m in used), reason="")
                        for m in Modality
                    ],
                )
            )
        self.now = end


def test_recovery_is_of_the_first_mask_stamped_after_the_end_of_all_that_is_alive(monkeypatch):
    recorded = Recorded(RESUMED, ended=STARTED + 2_000_000_000)
    monkeypatch.setattr(measuring, "time", recorded)
    monkeypatch.setattr(faults_vehicle, "time", recorded)
    fault = Fault("node: SIGSTOP, SIGCONT", lambda scene: nullcontext(), ALL)
    outcome, _ = measure(recorded, fault, 2.0, heard(20, 20), 2.0)  # type: ignore[arg-type]
    assert outcome.recovery_s == pytest.approx(0.24, abs=0.02)


def test_what_a_fault_stamped_ahead_of_the_clock_is_no_recovery() -> None:
    masks = [Mask(stamp, at, frozenset(used)) for stamp, at, used in RESUMED]
    ahead = Mask(9000, 50, ALL)
    assert recovery_after(0, [ahead], ALL) is None
    assert recovery_after(0, [ahead, *masks], ALL) == pytest.approx(241e-9)
    assert recovery_after(0, [ahead, *masks], frozenset({EVENT})) == pytest.approx(106e-9)


def heard(frames: int, masks: int, **used: int) -> Heard:
    uses = Counter({modality: used.get(modality.label, masks) for modality in Modality})
    return Heard(frames=frames, masks=masks, used=uses, sets=Counter({ALL: masks}))


def test_rates_are_of_the_mean_of_both_controls_and_of_the_sensor_that_lost_most() -> None:
    before, after = heard(20, 20), heard(20, 10)
    rate, others = shares(heard(40, 30, rgb=0, depth=15), before, after, frozenset({RGB}))
    assert rate == 1.0 and others == 0.5
    assert shares(heard(40, 0), before, after, ALL) == (None, None)
    late = heard(20, 21)  # one of them was under way before
    assert shares(heard(40, 38), late, late, frozenset({RGB})) == (0.95, 0.95)


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({"lived": False, "exit_code": 1}, "ended with 1"),
        ({"silent": True}, "not said"),
        ({"undone": "RuntimeError"}, "not done"),
        ({"rate": 0.94}, "rate"),
        ({"others": 0.5}, "other sensors"),
        ({"recovery_s": 1.1}, "recovery"),
        ({"recovery_s": None}, "recovery"),
    ],
)
def test_each_promise_that_is_not_kept_is_named(change, failure) -> None:
    assert KEPT.failures() == []
    assert replace(KEPT, **change).failures() == [failure]
    assert table([replace(KEPT, **change)]).splitlines()[-1].endswith(f"| {failure} |")


def test_rates_are_not_judged_where_the_machine_was_busy_with_something_else() -> None:
    assert replace(KEPT, rate=0.3, others=0.2, control=(1.0, 0.8)).failures() == []


@pytest.mark.parametrize(
    ("short", "watched"),
    [
        ({"rate": 0.9}, 15.0),
        ({"rate": 0.9, "others": 0.9}, 15.0),
        ({}, 3.0),
        ({"rate": 0.9, "silent": True}, 3.0),
    ],
)
def test_a_fault_that_missed_nothing_but_rates_is_watched_longer(
    monkeypatch, tmp_path, short, watched
) -> None:
    def measured(scene: Any, fault: Any, seconds: float, *rest: Any) -> tuple[Outcome, Heard]:
        outcome = replace(KEPT, **(short if seconds < 15 else {}), seconds=seconds)
        return outcome, heard(20, 20)

    process = SimpleNamespace(memory_mib=lambda: 400.0)
    scene = nullcontext(SimpleNamespace(process=process))
    monkeypatch.setattr(faults_main, "Scene", lambda parameters: scene)
    monkeypatch.setattr(faults_main, "observe", lambda scene, seconds: heard(20, 20))
    monkeypatch.setattr(faults_main, "measure", measured)
    (outcome,) = faults_main.run([faults()[0]], 3.0, 2.0, tmp_path)
    assert outcome.seconds == watched
    kept = outcome.hasty is None
    assert outcome.hasty == (None if kept else (0.9, short.get("others", KEPT.others)))
    row = json.loads((tmp_path / "faults.json").read_text())["faults"][0]
    assert row["seconds"] == watched and (row["hasty"] is None) == kept


def test_a_node_that_has_to_end_may_take_its_time_to_start_again() -> None:
    assert replace(KEPT, exit_code=-9, recovery_s=20.0).failures() == []


def test_faults_are_chosen_by_their_names(capsys, tmp_path) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["--list", "--only", "^rgb: drop$", "--only", "SIGK", *out]) == 0
    assert capsys.readouterr().out.splitlines() == ["rgb: drop", "node: SIGKILL"]
    assert main(["--only", "no such fault", *out]) == 2
    assert len(capsys.readouterr().out.splitlines()) == len(faults())
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(900)
def test_faults_are_told_from_each_other_by_what_a_real_node_says(tmp_path, monkeypatch) -> None:
    ros_vehicle.isolate(monkeypatch)
    out = tmp_path / "out"
    model = ros_vehicle.tiny_model(tmp_path)
    given = ros_vehicle.arguments_of(model=model, period=0.1)
    node = [word for word in given if ":=" in word]
    chosen = ("rgb: drop", "depth: stamp zero", "lidar: NaN", "node: SIGTERM")
    given = [word for name in chosen[::-1] for word in ("--only", f"^{name}$")]
    given += [word for one in node for word in ("--parameter", one)]
    short = ["--seconds", "3", "--control", "2", "--tries", "1", "--out", str(out)]
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    code = main([*given, *short])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == handlers
    figures = json.loads((out / "faults.json").read_text())
    rows = {row["fault"]: row for row in figures["faults"]}
    assert tuple(rows) == chosen
    assert figures["kept"] == sum(not row["failures"] for row in rows.values())
    assert code == int(figures["kept"] < len(chosen))
    assert all(row["others"] is not None for row in list(rows.values())[:3])
    assert rows["node: SIGTERM"]["others"] is None  # all sensors are hit
    assert all(row["lived"] and not row["undone"] and not row["silent"] for row in rows.values())
    assert rows["rgb: drop"]["said"] == "rgb: silent"
    assert "no point with finite coordinates" in str(rows["lidar: NaN"]["reasons"])
    assert rows["depth: stamp zero"]["said"] == "depth: stamp is zero"
    assert rows["node: SIGTERM"]["exit_code"] == 0
    assert all(row["recovery_s"] is not None for row in rows.values())
    assert Path(out / "faults.md").read_text().count("\n") == 2 + len(chosen)
