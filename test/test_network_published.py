"""Published networks from their checkpoints' keys: the logits of their definition, to 1e-5."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import published_reference as reference
import pytest
import torch
import training_data

from any2seg_ros.cli import main
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation.evaluator import EvaluationConfig, Evaluator
from any2seg_ros.network import published
from any2seg_ros.types import Modality, all_subsets

SIZE = (96, 64)
ORDER = (Modality.RGB, Modality.DEPTH, Modality.EVENT, Modality.LIDAR)


def saved(folder: Path, weights: reference.Weights, name: str = "net.pth") -> Path:
    torch.save(weights, folder / name)
    return folder / name


def opened(path: Path, engine: str = "torch") -> Segmenter:
    width, height = SIZE
    return Segmenter.open(EngineConfig(str(path), engine, "cpu", 1, "auto", width, height))


def images(seed: int = 0) -> dict[Modality, np.ndarray]:
    rng = np.random.default_rng(seed)
    shape = (3, SIZE[1], SIZE[0])
    return {m: rng.standard_normal(shape).astype(np.float32) for m in Modality}


def assert_close(found: np.ndarray, expected: torch.Tensor) -> None:
    """Within 1e-5 of the largest logit."""
    assert np.abs(found - expected.numpy()).max() <= 1e-5 * float(expected.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("width", [768, 256])
def test_anyseg_and_robustseg_give_the_mean_s_logits_for_every_subset(tmp_path, width):
    # With a width of 256 the layer that nothing uses has the shape of the last one.
    weights = reference.layout_mean(width)
    for kind in ("weight", "bias"):  # tokens so small that the norms' eps counts
        weights[f"encoder.patch_embed1.norm.{kind}"] *= 0.003
    wrapped = {"state_dict": {f"module.{name}": t for name, t in weights.items()}}
    segmenter = opened(saved(tmp_path, wrapped))
    given = images()
    maps = segmenter.encode(given)
    for subset in all_subsets():
        found, shares = segmenter.logits({m: maps[m] for m in subset})
        expected = reference.logits_mean(weights, [torch.from_numpy(given[m]) for m in subset])
        assert_close(found, expected)
        assert shares == pytest.approx(1 / len(subset))
    assert segmenter.backbone == "mit_b0" and segmenter.taxonomy.name == "deliver"


@torch.no_grad()
@pytest.mark.timeout(600)
def test_a_mean_network_runs_on_the_vehicle_s_engine(tmp_path):
    pytest.importorskip("openvino")
    weights = reference.layout_mean(64)
    width, height = SIZE
    path = saved(tmp_path, weights)
    segmenter = Segmenter.open(EngineConfig(str(path), "openvino", "auto", 1, "f32", width, height))
    given = images()
    pair = (Modality.RGB, Modality.LIDAR)
    found, _ = segmenter.logits(segmenter.encode({m: given[m] for m in pair}))
    expected = reference.logits_mean(weights, [torch.from_numpy(given[m]) for m in pair])
    assert np.abs(found - expected.numpy()).max() <= 1e-3 * float(expected.abs().max())


@torch.no_grad()
def test_cmnext_whole_gives_its_logits(tmp_path):
    weights = reference.layout_cmnext()
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    found, _ = segmenter.logits(segmenter.encode(given))
    assert_close(
        found, reference.logits_cmnext(weights, [torch.from_numpy(given[m]) for m in ORDER])
    )


@torch.no_grad()
def test_cmnext_with_one_other_modality_takes_the_one_its_file_names(tmp_path):
    weights = reference.layout_cmnext(others=1)
    segmenter = opened(saved(tmp_path, weights, "cmnext_b2_deliver_rgbl.pth"))
    assert segmenter.modalities == (Modality.RGB, Modality.LIDAR)
    given = images()
    pair = [torch.from_numpy(given[m]) for m in (Modality.RGB, Modality.LIDAR)]
    found, shares = segmenter.logits(segmenter.encode(given))
    assert_close(found, reference.logits_cmnext(weights, pair))
    assert shares.tolist() == [0.5, 0, 0.5, 0]
    with pytest.raises(ValueError, match=r"takes 2 modalities, .*rename it .*_rgbd\.pth"):
        opened(saved(tmp_path, weights))


@torch.no_grad()
@pytest.mark.parametrize(
    ("links", "mixing"),
    [("both", True), ("each", True), ("shared", True), ("late", False)],
)
def test_stitchfusion_whole_gives_its_logits(tmp_path, links, mixing):
    weights = reference.layout_stitchfusion(links=links, mixing=mixing)
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    found, _ = segmenter.logits(segmenter.encode(given))
    ordered = [torch.from_numpy(given[m]) for m in ORDER]
    assert_close(found, reference.logits_stitchfusion(weights, ordered))


@torch.no_grad()
def test_an_absent_modality_of_a_whole_network_is_an_image_of_zeros(tmp_path):
    weights = reference.layout_cmnext()
    segmenter = opened(saved(tmp_path, weights))
    given = images()
    alone = {Modality.LIDAR: given[Modality.LIDAR]}
    found, shares = segmenter.logits(segmenter.encode(alone))
    blank = {m: torch.from_numpy(given[m] * (m == Modality.LIDAR)) for m in ORDER}
    assert_close(found, reference.logits_cmnext(weights, [blank[m] for m in ORDER]))
    assert shares.tolist() == [1]
    with pytest.raises(ValueError, match="cannot leave a sensor out: use --protocol zero"):
        Evaluator(segmenter, EvaluationConfig("drop"))


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
    with pytest.raises(ValueError, match="images of 12 channels.*give the student's weights"):
        published.load(saved(tmp_path, reference.layout_mean(first=12)))
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
