"""`any2seg export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_network

from any2seg_ros.cli import main

pytest.importorskip("onnx", reason="writing ONNX needs onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_network.segmenter(folder)
    return folder / "tiny.safetensors"


def test_a_subset_is_written_in_the_order_of_the_vocabulary(model, tmp_path, capsys):
    command = ["export", str(model), "--out", str(tmp_path), "--modalities", "lidar+rgb"]
    assert main(command) == 0
    written = Path(capsys.readouterr().out.strip())
    assert written.is_file() and written.suffix == ".onnx"
    assert json.loads(written.with_suffix(".json").read_text())["modalities"] == ["rgb", "lidar"]


def test_unknown_formats_and_sensors_are_refused(model, tmp_path, capsys):
    assert main(["export", str(model), "--out", str(tmp_path), "--format", "zip"]) == 2
    assert "zip" in capsys.readouterr().err
    assert main(["export", str(model), "--out", str(tmp_path), "--modalities", "radar"]) == 2
    assert "unknown modality 'radar'" in capsys.readouterr().err
