"""Published checkpoints as a user gives them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import published_reference as reference
import pytest
import torch
import training_data
from published_checkpoints import ORDER, saved

from any2seg_ros.cli import main
from any2seg_ros.network import published
from any2seg_ros.types import Modality


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


def test_nothing_in_a_pth_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(ValueError, match="evil.pth"):
        published.load(tmp_path / "evil.pth")
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="evil.pth"):
        published.load(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_the_modalities_in_a_file_s_name_are_read():
    assert published.named("cmnext_b2_deliver_rgbdel") == ORDER
    name = "StitchFusion_StitchFusion-B2_DELIVER_RGBE_57.44"
    assert published.named(name) == (Modality.RGB, Modality.EVENT)
    assert published.named("cmnext_b2_deliver_rgb") == (Modality.RGB,)
    assert published.named("rmmss_b0") == ()


@pytest.mark.timeout(600)
def test_evaluate_takes_a_published_checkpoint_and_deliver_as_they_are(tmp_path, capsys):
    training_data.write(tmp_path / "DELIVER", "val", 1)
    command = ["evaluate", "--data", str(tmp_path / "DELIVER"), "--latency-frames", "0"]
    command += ["--image-size", "64", "64", "--robustness", "none", "--engine", "torch"]
    reports = {}
    for name, weights in {
        "rmmss_b0": reference.layout_mean(64),
        "cmnext_b0": reference.layout_cmnext(),
    }.items():
        model, out = saved(tmp_path, weights, f"{name}.pth"), tmp_path / name
        assert main([*command, "--model", str(model), "--out", str(out)]) == 0
        reports[name] = json.loads((out / "report.json").read_text())
        assert "split val, mit_b0 at 64x64" in " ".join(capsys.readouterr().out.split())
    assert [report["protocol"] for report in reports.values()] == ["drop", "zero"]
    assert all(len(report["subsets"]) == 15 for report in reports.values())
    assert main([*command, "--model", str(model), "--out", str(out), "--protocol", "drop"]) == 2
    assert "cannot leave a sensor out" in capsys.readouterr().err
