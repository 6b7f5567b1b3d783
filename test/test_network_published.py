"""A published checkpoint is known by its keys, all of which are used; nothing is executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import published_reference as reference
import pytest
import torch
import training_data
from published_files import ORDER, saved

from any2seg_ros.cli import main
from any2seg_ros.network import published
from any2seg_ros.types import Modality


@pytest.mark.parametrize(
    ("make", "key", "words"),
    [
        (reference.layout_mean, "encoder.head.weight", "1 keys are not used, such as encoder.head"),
        (reference.layout_mean, "extra.weight", "1 keys are not used, such as extra.weight"),
        (reference.layout_cmnext, "backbone.cls_head.weight", "1 keys are not used"),
        (reference.layout_stitchfusion, "auxiliary.0.weight", "1 keys are not used"),
    ],
)
def test_a_key_that_is_not_used_is_an_error(tmp_path, make, key, words):
    weights = {**make(), key: torch.zeros(2)}
    with pytest.raises(ValueError, match=rf"net\.pth: {words}"):
        published.load(saved(tmp_path, weights))


def test_what_is_missing_or_of_another_network_is_said(tmp_path):
    weights = reference.layout_mean()
    del weights["encoder.norm2.bias"]
    with pytest.raises(ValueError, match="1 keys are missing, such as encoder.stages.1.norm.bias"):
        published.load(saved(tmp_path, weights))
    with pytest.raises(ValueError, match="of no network that is known .*first is a.weight"):
        published.load(saved(tmp_path, {"a.weight": torch.zeros(1)}))
    with pytest.raises(ValueError, match="has 7 classes"):
        published.load(saved(tmp_path, reference.layout_mean(64, classes=7)))


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
