"""A whole evaluation: on folders in DELIVER's layout, interrupted, shared, and what it writes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import ctrl_c
import cv2
import numpy as np
import pytest
import torch
from html_reader import Reader

from any2seg_ros.datasets import Target, open_source
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation import summary
from any2seg_ros.evaluation.evaluator import EvaluationConfig, Evaluator
from any2seg_ros.evaluation.run import Share, _score, evaluate
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.types import parse_subset

QUICK = EvaluationConfig(latency_frames=0, robustness=("nm",))
SCENES = [("sun", "MAP_1_point1"), ("night", "MAP_1_point2"), ("fog", "MAP_2_point3_motionblur")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """An untrained network on disk."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return path


@pytest.fixture(scope="module")
def segmenter(model) -> Segmenter:
    return Segmenter.open(EngineConfig(str(model), "torch", "cpu", threads=1))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Six frames of three scenes as DELIVER publishes them: ready images, no raw measurements."""
    root = tmp_path_factory.mktemp("deliver")
    rng = np.random.default_rng(0)
    for condition, scene in SCENES:
        for frame in range(2):
            for kind, word in (
                ("img", "rgb"),
                ("hha", "depth"),
                ("lidar", "lidar"),
                ("event", "event"),
                ("semantic", "semantic"),
            ):
                image = rng.integers(0, 27 if kind == "semantic" else 255, (8, 8, 3))
                image = np.repeat(np.repeat(image.astype(np.uint8), 8, 0), 8, 1)
                path = root / kind / condition / "val" / scene / f"{frame:06d}_{word}_front.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)
    return root


@pytest.fixture
def copy(data, tmp_path) -> Path:
    """The same six frames, to be spoiled."""
    return shutil.copytree(data, tmp_path / "data")


@pytest.fixture
def heeded():
    with ctrl_c.heeded():
        yield


def run(segmenter, data, model, out, config=QUICK, limit=0, **rest) -> dict:
    wanted = () if len(config.modalities) == 4 else config.modalities
    target = Target.of(segmenter)
    source = open_source(data, target, "val", limit, wanted=wanted, leave_out=True)
    return evaluate(segmenter, source, config, str(model), out, **rest)


def test_an_evaluation_of_a_folder_writes_both_reports(segmenter, data, model, tmp_path):
    report = run(segmenter, data, model, tmp_path / "new" / "out")
    written = json.loads((tmp_path / "new" / "out" / "report.json").read_text())
    assert written == json.loads(summary.dumps(report))
    assert summary.check(written) == []
    assert (written["data"], written["split"], written["frames"]) == (str(data), "val", 6)
    assert len(written["model_sha256"]) == 64
    assert {name: one["frames"] for name, one in written["conditions"].items()} == {
        "fog": 2, "motionblur": 2, "night": 2, "sun": 2,
    }  # fmt: skip
    assert written["partial"] is False and written["rmm"] is None and written["nm"]
    Reader((tmp_path / "new" / "out" / "report.html").read_text())


def test_the_same_data_give_the_same_bytes(segmenter, data, model, tmp_path):
    run(segmenter, data, model, tmp_path / "a")
    run(segmenter, data, model, tmp_path / "b")
    for name in ("report.json", "report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_an_interrupted_evaluation_leaves_a_valid_report_marked_partial(
    segmenter, data, model, tmp_path
):
    def interrupt(done: int, total: int, miou: float | None) -> None:
        assert total == 6
        if done == 4:
            raise KeyboardInterrupt

    run(segmenter, data, model, tmp_path, progress=interrupt)
    report = summary.load(tmp_path / "report.json")
    assert report["partial"] is True
    assert report["frames"] == 4
    words = " ".join(Reader((tmp_path / "report.html").read_text()).words)
    assert "Partial: the evaluation was interrupted" in words


@pytest.mark.usefixtures("heeded")
def test_a_frame_that_is_interrupted_is_counted_as_a_whole(
    segmenter, data, model, tmp_path, monkeypatch
):
    add_nm, pressed = Tally.add_nm, []

    def interrupted(tally: Tally, *given) -> None:
        add_nm(tally, *given)
        if not pressed:
            pressed.append(ctrl_c.press())

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(Tally, "add_nm", interrupted)
    report = run(segmenter, data, model, tmp_path)
    assert report["partial"] is True and report["frames"] == 1
    assert set(report["nm"]) == {"low", "mid", "high"}
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("heeded")
def test_an_interrupt_while_the_reports_are_written_is_ignored(
    segmenter, data, model, tmp_path, monkeypatch
):
    summarize, before = summary.summarize, signal.getsignal(signal.SIGINT)

    def interrupted(*given):
        ctrl_c.press()
        return summarize(*given)

    monkeypatch.setattr(summary, "summarize", interrupted)
    try:
        report = run(segmenter, data, model, tmp_path, limit=2)
    except KeyboardInterrupt:
        pytest.fail("the interrupt was not ignored")
    assert report["partial"] is False and report["frames"] == 2
    assert (tmp_path / "report.html").exists()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("heeded")
def test_pressed_twice_it_interrupts_at_once_and_the_frame_is_in_no_table(
    segmenter, data, model, tmp_path, monkeypatch
):
    add_nm, calls = Tally.add_nm, []

    def interrupted(tally: Tally, *given) -> None:
        add_nm(tally, *given)
        calls.append(given)
        if len(calls) == 4:
            ctrl_c.press()
            ctrl_c.press()

    monkeypatch.setattr(Tally, "add_nm", interrupted)
    report = run(segmenter, data, model, tmp_path)
    assert len(calls) == 4
    assert report["partial"] is True and report["frames"] == 1


def test_processes_share_the_frames_without_overlap(segmenter, data):
    names = []
    for rank in range(4):
        source = open_source(data, Target.of(segmenter), "val")
        names += [sample.name for sample in source.samples(rank, 4)]
        evaluator = Evaluator(segmenter, EvaluationConfig(robustness=(), latency_frames=0))
        assert _score(evaluator, source, Share(rank, 4), lambda *_: None) is False
    assert len(names) == len(set(names)) == 6


def test_a_limit_spreads_over_the_data_and_is_noted(segmenter, data, model, tmp_path):
    report = run(segmenter, data, model, tmp_path, limit=3)
    assert report["frames"] == 3
    assert set(report["conditions"]) == {"sun", "night", "fog", "motionblur"}
    assert report["notes"] == ["limited to 3 of 6 frames"]


def file_of(data: Path, kind: str, word: str, frame: int) -> Path:
    return data / kind / "sun" / "val" / "MAP_1_point1" / f"{frame:06d}_{word}_front.png"


def test_a_frame_with_a_missing_or_damaged_file_is_left_out_and_named(
    segmenter, copy, model, tmp_path
):
    missing, damaged = file_of(copy, "lidar", "lidar", 1), file_of(copy, "event", "event", 0)
    unlabelled = next((copy / "semantic" / "fog").rglob("*.png"))
    missing.unlink()
    damaged.write_bytes(b"no picture")
    unlabelled.unlink()
    report = run(segmenter, copy, model, tmp_path)
    assert report["frames"] == 3
    assert report["left_out"] == {
        "a file cannot be read": 1,
        "a file is missing": 1,
        "no ground truth": 1,
    }
    said = dict(note.split(", for example: ") for note in report["notes"])
    for reason, path in zip(report["left_out"], (damaged, missing, unlabelled), strict=True):
        assert said[reason].startswith(str(path))


def test_frames_that_are_all_left_out_are_one_error_that_names_a_file(
    segmenter, copy, model, tmp_path
):
    shutil.rmtree(copy / "hha")
    with pytest.raises(ValueError, match="evaluated: 6 x a file is missing .*hha.* is missing"):
        run(segmenter, copy, model, tmp_path)
    assert not (tmp_path / "report.json").exists()
    shutil.rmtree(copy / "semantic")
    with pytest.raises(ValueError, match="evaluated: 6 x no ground truth .*semantic.* is missing"):
        run(segmenter, copy, model, tmp_path)


def test_files_of_sensors_that_are_not_wanted_are_not_read(segmenter, copy, model, tmp_path):
    shutil.rmtree(copy / "hha")
    config = replace(QUICK, modalities=parse_subset("lidar+event"), robustness=())
    report = run(segmenter, copy, model, tmp_path, config)
    assert report["frames"] == 6 and not report["left_out"]
    assert list(report["subsets"]) == ["lidar", "event", "lidar+event"]


def test_an_interrupt_before_the_first_frame_is_scored_leaves_no_report(
    segmenter, copy, model, tmp_path
):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    for label in (copy / "semantic").rglob("*.png"):
        label.unlink()
    with pytest.raises(KeyboardInterrupt):
        run(segmenter, copy, model, tmp_path, progress=interrupt)
    assert not (tmp_path / "report.json").exists()


def test_what_is_no_data_is_refused_by_name(segmenter, data, tmp_path):
    with pytest.raises(FileNotFoundError, match="no data at"):
        open_source(tmp_path / "nowhere", Target.of(segmenter))
    with pytest.raises(ValueError, match="is no data set that is known"):
        open_source(tmp_path, Target.of(segmenter))
    with pytest.raises(ValueError, match=f"and no bag; give {data}$"):
        open_source(data / "img" / "sun", Target.of(segmenter))
    with pytest.raises(FileNotFoundError, match="no frames at .*test.*its splits are val$"):
        open_source(data, Target.of(segmenter), "test")


def test_two_processes_give_the_very_report_of_one(segmenter, data, model, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "any2seg_ros.cli", "evaluate", "--data", str(data)]
    command += ["--model", str(model), "--engine", "torch", "--device", "cpu", "--threads", "1"]
    command += ["--robustness", "nm", "--latency-frames", "0", "--out", str(tmp_path / "two")]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[1],
            stdout=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=500) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    two = json.loads((tmp_path / "two" / "report.json").read_text())
    one = json.loads(summary.dumps(run(segmenter, data, model, tmp_path / "one")))
    assert two == one
