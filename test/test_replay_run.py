"""Replaying bags: what comes out, that it is the same every time, and what broken bags give."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from pathlib import Path

import ctrl_c
import numpy as np
import pytest
import tiny_drive
import torch
import yaml
from html_reader import Reader

from any2seg_ros.bags import BagReader
from any2seg_ros.cli import main
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.messages import decode_image, stamp_ns
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.replay.config import ReplayConfig
from any2seg_ros.replay.fault_schedule import parse_corruptions, parse_drops
from any2seg_ros.replay.recording import OutputRecorder
from any2seg_ros.replay.run import Replay
from any2seg_ros.runtime.parameters import from_values
from any2seg_ros.types import Modality

MASK = ("mask", "label_info", "status")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    return Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))


@pytest.fixture(scope="module")
def drive(tmp_path_factory) -> Path:
    return tiny_drive.write(tmp_path_factory.mktemp("bags") / "drive")


@pytest.fixture
def heeded():
    with ctrl_c.heeded():
        yield


def replay(segmenter, bag: Path, out: Path, progress=lambda done, total: None, **config) -> dict:
    config.setdefault("outputs", MASK)
    return Replay(bag, segmenter, ReplayConfig(**config)).run(out, "tiny", progress)


def heard(out: Path) -> dict[str, list]:
    """Messages of an output bag by output."""
    found = defaultdict(list)
    with BagReader(out) as bag:
        for recorded in bag.messages():
            assert recorded.topic.startswith("/segmenter/")
            found[recorded.topic.rsplit("/", 1)[1]].append(recorded.message)
    return found


@pytest.fixture(scope="module")
def output(segmenter, drive, tmp_path_factory) -> tuple[Path, dict]:
    """All outputs of the plain drive."""
    out = tmp_path_factory.mktemp("out") / "plain"
    return out, Replay(drive, segmenter, ReplayConfig()).run(out, "tiny")


def test_the_node_s_topics_come_with_the_anchor_s_header(output):
    messages = heard(output[0])
    assert set(messages) == {
        "mask", "confidence", "label_info", "color", "overlay", "points", "status", "camera_info",
    }  # fmt: skip
    rgb = [m for m in messages["mask"] if m.header.frame_id == "rgb_camera_optical"]
    assert [stamp_ns(m.header.stamp) - tiny_drive.START for m in rgb] == [
        tiny_drive.PERIOD * (i + 1) for i in range(10)
    ][-len(rgb) :]
    assert len(rgb) >= 9
    mask = rgb[-1]
    assert (mask.encoding, mask.width, mask.height) == ("mono8", 96, 64)
    assert mask.step == mask.width and decode_image(mask).max() < 25
    assert [c.class_name for c in messages["label_info"][0].class_map][6] == "Road"
    assert (messages["camera_info"][-1].width, messages["camera_info"][-1].height) == (96, 64)


def test_what_is_in_the_reference_frame_says_so_whoever_the_anchor_is(segmenter, drive, tmp_path):
    outputs = ("mask", "points", "camera_info")
    faults = parse_drops("rgb,depth,event")
    replay(segmenter, drive, tmp_path / "out", outputs=outputs, faults=faults)
    frames = {
        name: {m.header.frame_id for m in sent} for name, sent in heard(tmp_path / "out").items()
    }
    placed = {"rgb_camera_optical"}
    assert frames == {"mask": {"lidar"}, "points": placed, "camera_info": placed}
    told = from_values({"header_frame": "reference"})
    options = {"outputs": ("mask", "status"), "faults": faults, "parameters": told}
    replay(segmenter, drive, tmp_path / "told", **options)
    sent = heard(tmp_path / "told")
    headers = {stamp_ns(m.header.stamp): m.header.frame_id for m in sent["mask"]}
    assert headers and set(headers.values()) == placed
    assert {m.header.frame_id for m in sent["status"]} == placed


def test_every_status_names_the_sensors_used_and_their_weights_sum_to_one(output):
    messages = heard(output[0])
    by_stamp = {stamp_ns(m.header.stamp): m for m in messages["status"]}
    for mask in messages["mask"]:
        rows = by_stamp[stamp_ns(mask.header.stamp)].modalities
        assert [row.modality for row in rows] == [m.label for m in Modality]
        assert sum(row.weight for row in rows) == pytest.approx(1.0, abs=1e-5)
        assert all((row.weight > 0) == (row.availability <= 1) for row in rows)


def test_the_report_scores_masks_against_the_labels_of_the_bag(output):
    out, report = output
    written = json.loads((out / "report.json").read_text())
    assert written["scored"] >= 9 and written["miou"] == report["miou"] is not None
    assert written["messages"]["mask"] == written["masks"] >= 10
    assert "timing" not in written
    assert json.loads((out / "timing.json").read_text())["wall_s"] > 0
    words = " ".join(Reader((out / "report.html").read_text()).words)
    assert "Best frames" in words and "mIoU in percent" in words


def test_twice_the_same_bag_gives_twice_the_same_bytes(segmenter, drive, tmp_path):
    faults = parse_drops("rgb@0.3-0.6") + parse_corruptions("event:noise@*,lidar:noise@0.5-")
    for name in ("one", "another"):
        replay(segmenter, drive, tmp_path / name, faults=faults, outputs=("mask", "points"))
    for file in ("replay.mcap", "metadata.yaml", "report.json", "report.html"):
        first, second = (tmp_path / name / file for name in ("one", "another"))
        assert first.read_bytes() == second.read_bytes(), file


def test_a_dropped_sensor_is_not_used_and_the_rate_is_kept(segmenter, drive, tmp_path):
    report = replay(segmenter, drive, tmp_path / "out", faults=parse_drops("rgb@0.25-"))
    rows = heard(tmp_path / "out")["status"]
    late = [r for r in rows if stamp_ns(r.header.stamp) > tiny_drive.START + 600_000_000]
    assert late and all(r.modalities[0].weight == 0 for r in late)
    assert report["masks"] >= 9
    assert [s["failures"] for s in report["stretches"]] == [[], ["no rgb"]]
    assert "no rgb@0.25- affected" in " ".join(report["notes"])


def test_without_any_sensor_there_is_no_mask_but_a_status(segmenter, drive, tmp_path):
    faults = parse_drops("rgb,depth,lidar,event")
    report = replay(segmenter, drive, tmp_path / "out", faults=faults)
    messages = heard(tmp_path / "out")
    assert report["masks"] == 0 and report["miou"] is None
    assert "mask" not in messages
    assert len(messages["status"]) >= 2
    rows = [row for s in messages["status"] for row in s.modalities]
    assert all(row.weight == 0 for row in rows)
    assert {row.reason for row in rows} == {"no message yet"}
    assert any("no frame at all" in note for note in report["notes"])


def test_an_interrupted_replay_leaves_a_whole_bag_marked_partial(segmenter, drive, tmp_path):
    def interrupt(done: float, total: float) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    report = replay(segmenter, drive, tmp_path / "out", interrupt)
    assert report["partial"] is True
    assert 0 < len(heard(tmp_path / "out")["mask"]) == report["masks"] < 10
    assert "Partial" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.usefixtures("heeded")
def test_a_frame_that_is_interrupted_is_taken_as_a_whole(segmenter, drive, tmp_path, monkeypatch):
    write, before = OutputRecorder.write, signal.getsignal(signal.SIGINT)

    def interrupted(outputs: OutputRecorder, *given) -> None:
        ctrl_c.press()
        write(outputs, *given)

    monkeypatch.setattr(OutputRecorder, "write", interrupted)
    report = replay(segmenter, drive, tmp_path / "out")
    assert report["partial"] is True and report["frames"] == 1
    assert sum(report["subsets"].values()) == len(heard(tmp_path / "out")["mask"]) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_bag_that_ends_in_the_middle_is_replayed_up_to_there(segmenter, drive, tmp_path):
    cut = tmp_path / "cut.mcap"
    whole = (drive / "drive.mcap").read_bytes()
    cut.write_bytes(whole[: int(len(whole) * 0.5)])
    report = replay(segmenter, cut, tmp_path / "out")
    assert 0 < report["masks"] < 10
    assert any("ends in the middle" in note for note in report["notes"])


def test_missing_topics_and_missing_truth_are_said(segmenter, tmp_path):
    keep = ("/rgb", "/depth", "/tf")
    bag = tiny_drive.write(tmp_path / "bag", keep=lambda topic: topic.startswith(keep))
    report = replay(segmenter, bag, tmp_path / "out")
    assert set(report["subsets"]) <= {"rgb", "depth", "rgb+depth"}
    assert report["miou"] is None
    for note in ("no topic of lidar", "no topic of event", "no ground truth"):
        assert any(note in said for said in report["notes"]), note


def test_a_lidar_without_a_transform_is_left_out_with_a_note(segmenter, tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", keep=lambda topic: topic != "/tf_static")
    report = replay(segmenter, bag, tmp_path / "out")
    assert not any("lidar" in name for name in report["subsets"])
    assert any("the LiDAR cannot be placed" in note for note in report["notes"])


def test_parameters_may_say_where_the_lidar_stands(segmenter, tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", keep=lambda topic: topic != "/tf_static")
    parameters = from_values({"lidar.extrinsics": "0 -0.2 0 0.5 -0.5 0.5 -0.5"})
    report = replay(segmenter, bag, tmp_path / "out", parameters=parameters)
    assert any("lidar" in name for name in report["subsets"])
    assert not any("the LiDAR cannot be placed" in note for note in report["notes"])


def test_parameters_may_tell_of_the_camera_where_the_bag_does_not(segmenter, tmp_path):
    bag = tiny_drive.write(tmp_path / "bag", keep=lambda topic: "camera_info" not in topic)
    camera = {"reference_width": 96, "reference_height": 64, "reference_k": "80 80 47.5 31.5"}
    parameters = from_values({**camera, "reference_frame": "rgb_camera_optical"})
    report = replay(segmenter, bag, tmp_path / "out", parameters=parameters)
    assert report["masks"] >= 9 and any("lidar" in name for name in report["subsets"])


def test_outputs_look_as_parameters_say(segmenter, drive, tmp_path, output):
    values = {"minimum_confidence": 0.06, "confidence_encoding": "32FC1"}
    outputs = ("mask", "confidence", "label_info")
    replay(segmenter, drive, tmp_path, outputs=outputs, parameters=from_values(values))
    made, plain = heard(tmp_path), heard(output[0])
    assert made["label_info"][0].threshold == pytest.approx(0.06)
    assert made["confidence"][0].encoding == "32FC1"
    sure = np.frombuffer(made["confidence"][0].data, np.float32) >= 0.06
    assert 0 < sure.mean() < 1
    labels, before = (np.asarray(m["mask"][0].data).ravel() for m in (made, plain))
    assert np.array_equal(labels, np.where(sure, before, 255))


def test_a_status_knows_what_parameters_take_out_and_move(segmenter, drive, tmp_path):
    parameters = from_values({"event.enabled": False, "lidar.offset": 0.02})
    replay(segmenter, drive, tmp_path, parameters=parameters)
    status = heard(tmp_path)["status"][-1]
    rows = {row.modality: row for row in status.modalities}
    assert rows["event"].reason == "taken out by configuration" and rows["event"].availability == 4
    moved = stamp_ns(rows["lidar"].stamp) + 20_000_000
    assert rows["lidar"].age == pytest.approx(
        (stamp_ns(status.header.stamp) - moved) * 1e-9, abs=1e-6
    )
    assert status.frames_published > status.frames_incomplete


def test_stamps_out_of_order_are_said_and_masks_only_go_forward(segmenter, tmp_path):
    rows = tiny_drive.rows(8)
    at = [i for i, row in enumerate(rows) if row[1] == "/lidar/points"]
    first, second = at[3], at[4]
    log_times = rows[first][0], rows[second][0]
    rows[first], rows[second] = (
        (log_times[0], *rows[second][1:]),
        (log_times[1], *rows[first][1:]),
    )
    report = replay(segmenter, tiny_drive.write(tmp_path / "bag", rows), tmp_path / "out")
    assert any("arrived out of order" in note for note in report["notes"])
    stamps = [stamp_ns(m.header.stamp) for m in heard(tmp_path / "out")["mask"]]
    assert stamps == sorted(set(stamps)) and len(stamps) >= 7


def test_a_bag_that_loops_begins_anew_and_says_so(segmenter, tmp_path):
    rows = tiny_drive.rows(12)
    length = rows[-1][0] - rows[0][0] + 5_000_000
    looped = rows + [(log_time + length, topic, m) for log_time, topic, m in rows]
    report = replay(segmenter, tiny_drive.write(tmp_path / "bag", looped), tmp_path / "out")
    assert report["masks"] >= 22
    assert report["resets"] >= 1
    assert any("time jumped backwards" in note for note in report["notes"])


def test_labels_may_come_from_a_folder(segmenter, tmp_path):
    import cv2

    bag = tiny_drive.write(tmp_path / "bag", tiny_drive.rows(4), lambda t: "ground_truth" not in t)
    labels = tmp_path / "labels"
    labels.mkdir()
    for index in range(4):
        stamp = tiny_drive.START + tiny_drive.PERIOD * (index + 1)
        cv2.imwrite(str(labels / f"{stamp}.png"), tiny_drive.label(index))
    report = replay(segmenter, bag, tmp_path / "out", labels=labels)
    assert report["scored"] == report["masks"] - 1


def test_what_cannot_be_replayed_is_one_clear_error(segmenter, drive, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no bag at"):
        replay(segmenter, tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(FileExistsError, match="is the bag itself"):
        replay(segmenter, drive, drive)
    own = tiny_drive.write(tmp_path / "own")
    recording = next(own.glob("*.mcap")).rename(own / "replay.mcap")
    before = recording.read_bytes()
    with pytest.raises(FileExistsError, match="is the bag itself"):
        replay(segmenter, recording, own)
    assert recording.read_bytes() == before
    with pytest.raises(ValueError, match="unknown output 'masks'"):
        ReplayConfig(outputs=("masks",))
    infos = tiny_drive.write(tmp_path / "bag", keep=lambda topic: "camera_info" not in topic)
    with pytest.raises(ValueError, match="no usable camera_info"):
        replay(segmenter, infos, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.mcap").write_bytes(b"x")
    with pytest.raises(FileExistsError, match="has another bag in it"):
        replay(segmenter, drive, other)
    assert np.array_equal([f.name for f in other.iterdir()], ["mine.mcap"])


def test_the_command_takes_the_engine_of_the_parameters_unless_told_otherwise(drive, tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "tiny.safetensors"
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    checkpoints.save(path, network, Metadata(size=(64, 64)))
    values = {"model": str(path), "engine": "torch", "network_width": 96, "network_height": 32}
    parameters = tmp_path / "parameters.yaml"
    parameters.write_text(yaml.safe_dump({"/**": {"ros__parameters": values}}))
    command = ["replay", "--bag", str(drive), "--params-file", str(parameters), "--outputs", "mask"]
    assert main([*command, "--out", str(tmp_path / "told")]) == 0
    report = json.loads((tmp_path / "told/report.json").read_text())
    assert "at 96x32, torch" in report["engine"] and report["model"] == str(path)
    assert main([*command, "--engine", "onnxruntime", "--out", str(tmp_path / "other")]) == 0
    report = json.loads((tmp_path / "other/report.json").read_text())
    assert "at 96x32, ONNX" in report["engine"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"camera_driver": {"ros__parameters": {"rate": 5}}}, "has no section of the node"),
        (
            {"/**": {"ros__parameters": {"deadlin": 0.2}}},
            "unknown key 'deadlin': did you mean 'deadline'?",
        ),
        ({"/**": {"parameters": {}}}, "section '/**' has no ros__parameters"),
    ],
)
def test_a_file_of_parameters_of_something_else_is_refused(content, words, drive, tmp_path, capsys):
    path = tmp_path / "parameters.yaml"
    path.write_text(yaml.safe_dump(content))
    out = str(tmp_path / "out")
    assert main(["replay", "--bag", str(drive), "--params-file", str(path), "--out", out]) == 2
    assert words in capsys.readouterr().err
