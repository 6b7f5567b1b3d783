"""Commands that are killed at random moments, and what is compared of their results."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from any2seg_ros.bench import kills
from any2seg_ros.bench.kills import JOBS, Job, disturb, run


@pytest.mark.timeout(900)
def test_a_simulation_that_is_killed_ends_with_the_same_files() -> None:
    (figures,) = run(["simulation"], times=2).values()
    assert figures["kills"] == 2 and figures["results"] == figures["same"] >= 1


def test_all_jobs_are_known() -> None:
    others = {"training", "adapters", "evaluation", "replay", "simulation"}
    assert set(JOBS) == {*others, "adaptation"}
    assert JOBS["adaptation"].command(Path("place"), Path("out"))[0] == "adapt"


def test_adaptations_are_compared_by_what_was_judged_and_by_all_weights(tmp_path) -> None:
    """Metadata name the folder, which is another one."""

    def made(name: str, value: float) -> Path:
        (tmp_path / name / "rounds" / "1").mkdir(parents=True)
        (tmp_path / name / "judged.json").write_text("{}")
        for file in ("weights.safetensors", "rounds/1/weights.safetensors"):
            array = np.full(3, value, np.float32)
            save_file({"a": array}, tmp_path / name / file, {"folder": name})
        return tmp_path / name

    one = kills.adapted(made("one", 1.0))
    assert set(one) == {"judged", "weights.safetensors", "rounds/1/weights.safetensors"}
    assert kills.adapted(made("same", 1.0)) == one
    assert kills.adapted(made("other", 2.0)) != one


def test_a_result_that_depends_on_a_kill_is_found(tmp_path, monkeypatch) -> None:
    """Of a job that appends a line each time that it is begun."""
    log: list[str] = []

    def begun(arguments, place: Path, after: float = 0.0) -> bool:
        log.append("x")
        return len(log) % 2 == 0

    monkeypatch.setattr(kills, "_finish", begun)
    monkeypatch.setattr(kills, "_killed", begun)
    job = Job("job", lambda place, out: [], lambda out: len(log))
    figures = disturb(job, tmp_path, 2, random.Random(0))
    assert figures["kills"] == 2 and figures["same"] < figures["results"]


def test_reports_are_compared_without_what_depends_on_the_machine(tmp_path) -> None:
    content = {"miou": 0.5, "latency_ms": {"p50": 3}, "subsets": [{"iou": 1, "seconds": 2}]}
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert kills.report(tmp_path) == {"miou": 0.5, "subsets": [{"iou": 1}]}


def test_a_command_that_fails_by_itself_is_an_error(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="ended with 2: .*no data"):
        kills._finish(["evaluate", "--data", str(tmp_path / "absent")], tmp_path)
