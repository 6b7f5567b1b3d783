"""A run from its configuration file, as the command and torchrun start it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from training_run import losses, write_data, written

from any2seg_ros.training.run import train

SOURCE = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("training"))


def test_a_run_tells_where_its_weights_are(place, capsys):
    weights = train(written(place, "once", steps=2, validate_every=2))
    assert weights == place / "once/weights.safetensors" and weights.is_file()
    assert f"weights: {weights}" in capsys.readouterr().err.replace("\n", "")


def test_a_run_that_is_stopped_goes_on_in_the_same_folder(place, capsys):
    path = written(place, "planned", steps=4, validate_every=4)
    other = str(place / "elsewhere")
    assert train(path, other, stop_at=1) is None
    assert "stopped at step 1" in capsys.readouterr().err
    assert train(path, other) == place / "elsewhere/weights.safetensors"
    assert len(losses(place, "elsewhere")) == 4 and not (place / "planned").exists()


def test_the_module_refuses_what_is_wrong_in_one_line(tmp_path):
    path = tmp_path / "old.yaml"
    path.write_text("batch: 4\n")
    command = [sys.executable, "-m", "any2seg_ros.training", str(path)]
    ended = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("'batch' is called 'batch_size' now: rename it")
    assert "Traceback" not in ended.stderr


def test_a_full_disk_ends_a_run_in_one_line_and_the_last_state_is_kept(place):
    path = written(place, "full", steps=6, validate_every=6)
    assert train(path, stop_at=2) is None
    kept = (place / "full/state.pt").read_bytes()
    limit = (len(kept) // 2,) * 2  # no file may become larger: as a disk with so much space left
    command = [sys.executable, "-m", "any2seg_ros.training", str(path)]
    ended = subprocess.run(
        command,
        cwd=SOURCE,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert ended.returncode and "Traceback" not in ended.stderr
    assert "state.pt cannot be written" in ended.stderr.splitlines()[-1]
    assert (place / "full/state.pt").read_bytes() == kept
    assert not list((place / "full").glob(".*.part"))
    assert train(path) == place / "full/weights.safetensors"
    assert len(losses(place, "full")) == 6
