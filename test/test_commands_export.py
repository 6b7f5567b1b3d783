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


@pytest.mark.parametrize("kind", ["onnx", "graphs"])
def test_model_and_size_are_what_the_options_say(kind, tmp_path, monkeypatch, capsys):
    from any2seg_ros.engine import export as exporting
    from any2seg_ros.resources import find

    asked: list = []
    name = "export_graphs" if kind == "graphs" else "export"
    monkeypatch.setattr(exporting, name, lambda *given: asked.extend(given))
    size = ["--width", "256", "--height", "144"]
    assert main(["export", "streets", "--out", str(tmp_path), "--format", kind, *size]) == 0
    assert asked[0] == find("models/any2seg_streets.safetensors") and asked[-1] == (256, 144)


def test_unknown_formats_and_sensors_are_refused(model, tmp_path, capsys):
    assert main(["export", str(model), "--out", str(tmp_path), "--format", "zip"]) == 2
    assert "zip" in capsys.readouterr().err
    assert main(["export", str(model), "--out", str(tmp_path), "--modalities", "radar"]) == 2
    assert "unknown modality 'radar'" in capsys.readouterr().err
