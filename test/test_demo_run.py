"""The demo's own steps: reading the bag, the output folder, the printed table."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from any2seg_ros.bags.file import BagFile
from any2seg_ros.demo.run import DemoConfig, _fresh_folder, images, picture_topics, run, table
from any2seg_ros.messages import decode_labels
from any2seg_ros.messages.kinds import IMAGE
from any2seg_ros.resources import find


def write_bag(bag: Path, topic: str) -> None:
    """A bag with one 16-bit image and nothing else."""
    ids = np.array([[3, 7], [24, 65535]], np.uint16)
    file = BagFile(bag)
    fields = {"height": 2, "width": 2, "encoding": "mono16", "is_bigendian": 0, "step": 4}
    message = file.message(
        IMAGE, header=file.header(1_000, "camera"), data=ids.view(np.uint8).ravel(), **fields
    )
    file.write(topic, IMAGE, 1_000, file.serialized(message, IMAGE))
    file.close()


def test_labels_of_16_bits_are_class_ids(tmp_path: Path) -> None:
    write_bag(tmp_path / "labels", "/label")
    (label,) = images(tmp_path / "labels", "/label", 0, decode_labels).values()
    assert label.tolist() == [[3, 7], [24, 255]]


def test_camera_and_labels_are_found_and_a_bag_without_them_is_refused(tmp_path: Path) -> None:
    topics = picture_topics(find("demo_data/streets"))
    assert topics == ("/rgb/image/compressed", "/ground_truth/label/compressed")
    write_bag(tmp_path / "camera", "/rgb/image")
    with pytest.raises(ValueError, match="lacks a camera topic or a label topic"):
        picture_topics(tmp_path / "camera")


def test_phases_longer_than_the_bag_are_refused_before_anything_starts(tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason="the demo plays over DDS: needs rclpy")
    with pytest.raises(ValueError, match="--seconds is 30, but .* lasts 8.0 s"):
        run(DemoConfig(tmp_path / "out", seconds=30.0))
    assert not (tmp_path / "out").exists()


def test_only_an_earlier_demo_is_deleted_from_the_output_folder(tmp_path: Path) -> None:
    (tmp_path / "output_bag").mkdir()
    (tmp_path / "output_bag" / "old.mcap").touch()
    for name in ("report.html", "letter.txt"):
        (tmp_path / name).touch()
    _fresh_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_the_table_says_what_is_unknown_with_a_dash() -> None:
    latency = {"p50": None, "p90": None, "p99": None}
    phase = {"frames_published": 0, "frames_expected": 0, "rate_hz": 0.0, "mean_confidence": None}
    report = {
        "phases": [{"name": "nothing", "latency_ms": latency, "miou": None, **phase}],
        "recovery_s": None, "loss_reported_after_s": 0.18, "node_exit_code": 0,
        "node_cpu_ms_per_frame": 46.2,
    }  # fmt: skip
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(table(report))
    text = " ".join(console.export_text().split())
    assert "nothing 0/0 0.0 - - - - -" in text
    assert "loss of all sensors reported after 0.18 s; recovery after - s" in text
    assert "46 ms per frame; exit code 0" in text
