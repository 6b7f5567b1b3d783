"""The folder of a run: whose it is, what it was made from, and what of it counts after a stop."""

from __future__ import annotations

import errno
import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from any2seg_ros.training import run_folder
from any2seg_ros.training.config import TrainingConfig
from any2seg_ros.training.run_folder import RunFolder

DATA = {"data/streets train": "12ab", "data/streets val": "34cd"}


@pytest.fixture
def config(tmp_path):
    return TrainingConfig(output=str(tmp_path / "run"))


def begun(config: TrainingConfig, data: dict[str, str] = DATA) -> RunFolder:
    folder = RunFolder(config)
    folder.check_data(data)
    folder.begin()
    return folder


def test_a_run_does_not_go_on_with_other_frames(config):
    begun(config)
    begun(config)
    other = {**DATA, "data/streets val": "changed"}
    with pytest.raises(
        ValueError, match=r"frames of data/streets val have changed .*put them back"
    ):
        begun(config, other)
    about = Path(config.output, "run.json")
    content = json.loads(about.read_text())
    del content["data"]
    about.write_text(json.dumps(content))  # as runs had it that were begun before
    begun(config, other)


def test_one_process_trains_in_a_folder(config):
    folder = begun(config)
    script = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "except BlockingIOError: sys.exit(3)\n"
    )
    command = [sys.executable, "-c", script, str(folder.path / "lock")]
    assert subprocess.run(command, timeout=60).returncode == 3
    RunFolder(config, writing=False).begin()  # of several processes, one writes


def test_where_files_cannot_be_locked_a_run_is_begun_all_the_same(config, monkeypatch):
    def unknown(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unknown)
    begun(config)
    assert Path(config.output, "run.json").exists()


def test_a_folder_in_use_is_one_clear_message(config, monkeypatch):
    def taken(*_):
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", taken)
    with pytest.raises(ValueError, match=r"another process trains in .*run: wait"):
        begun(config)
    assert not Path(config.output, "run.json").exists()


def test_what_was_logged_after_the_last_state_does_not_count(config, monkeypatch):
    told = []
    monkeypatch.setattr(run_folder, "_board", lambda path, first: told.append(first) or False)
    folder = begun(config)
    lines = ['{"step": 1}', "[]", '{"loss": 2}', "7", '{"step": 2}', '{"step": 3}', '{"step": "']
    metrics = folder.path / "metrics.jsonl"
    metrics.write_text("\n".join(lines))
    folder.go_on_from(2)
    folder.log({"step": 3, "loss": 0.5})
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == [1, 2, 3]
    assert told == [3]


def test_a_file_of_weights_that_nothing_names_is_no_part_of_a_run(tmp_path, monkeypatch):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    assert RunFolder(TrainingConfig(output="run", init_from="")).about()["files"] == {}
    named = RunFolder(TrainingConfig(output="run", init_from=".")).about()["files"]
    assert list(named) == ["model.safetensors"]


def test_a_state_is_kept_whole_and_a_damaged_one_says_what_to_do(config):
    folder = begun(config)
    assert folder.state(torch.device("cpu")) is None
    folder.save({"step": 4})
    assert folder.state(torch.device("cpu")) == {"step": 4}
    folder.state_file.write_bytes(folder.state_file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"state\.pt is damaged: delete"):
        folder.state(torch.device("cpu"))
