"""MFF against the paper's equations, written out with loops."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.network.fusion import FUSIONS, mean, mff, modality_weights
from any2seg_ros.types import Modality


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def mff_by_the_equations(maps: list[np.ndarray]) -> tuple[np.ndarray, list[float]]:
    """Maps (C, H, W) of one sample, one a modality, float64."""
    anchor = sum(maps) / len(maps)
    c = [cosine(f.ravel(), anchor.ravel()) for f in maps]
    x = sum(c_m * f for c_m, f in zip(c, maps, strict=True))
    fused = np.empty_like(anchor)
    for row in range(anchor.shape[1]):
        for column in range(anchor.shape[2]):
            s = [cosine(f[:, row, column], x[:, row, column]) for f in maps]
            k = int(np.argmax(s))
            fused[:, row, column] = maps[k][:, row, column] + anchor[:, row, column]
    return fused, c


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_mff_is_the_published_equations(count):
    features = torch.randn(2, count, 5, 3, 4, dtype=torch.float64)
    fused, cosines = mff(features)
    for b in range(2):
        expected, c = mff_by_the_equations([f.numpy() for f in features[b]])
        np.testing.assert_allclose(fused[b].numpy(), expected, atol=1e-9)
        np.testing.assert_allclose(cosines[b].numpy(), c, atol=1e-9)


def test_one_modality_alone_gives_twice_its_map_and_all_the_weight():
    features = torch.randn(1, 1, 4, 2, 2)
    fused, cosines = mff(features)
    torch.testing.assert_close(fused, 2 * features[:, 0])
    assert modality_weights([cosines]).tolist() == [[1.0]]


def test_the_order_of_modalities_does_not_matter():
    features = torch.randn(1, 4, 5, 3, 4, dtype=torch.float64)
    order = [2, 0, 3, 1]
    fused, cosines = mff(features)
    permuted, permuted_cosines = mff(features[:, order])
    torch.testing.assert_close(permuted, fused)
    torch.testing.assert_close(permuted_cosines, cosines[:, order])


def test_an_absent_modality_is_not_a_zero_image():
    features = torch.randn(1, 2, 5, 3, 4)
    with_zeros = torch.cat([features, torch.zeros_like(features)], 1)
    assert not torch.allclose(mff(features)[0], mff(with_zeros)[0])


def test_zero_maps_give_numbers():
    fused, cosines = mff(torch.zeros(1, 3, 2, 2, 2))
    assert torch.isfinite(fused).all() and torch.isfinite(cosines).all()
    torch.testing.assert_close(modality_weights([cosines]), torch.full((1, 3), 1 / 3))


def test_weights_sum_to_one_and_a_modality_against_the_anchor_gets_none():
    direction = torch.randn(1, 1, 6, 2, 2)
    features = torch.cat([3 * direction, 2 * direction, -direction], 1)
    _, cosines = mff(features)
    assert cosines[0, 2] < 0
    weights = modality_weights([cosines, cosines])
    assert weights.sum().item() == pytest.approx(1)
    assert weights[0, 2] < 1e-5 and weights[0, 0] == pytest.approx(0.5, abs=1e-4)


def test_gradients_reach_every_modality():
    features = torch.randn(1, 3, 5, 3, 4, requires_grad=True)
    mff(features)[0].square().sum().backward()
    assert (features.grad.flatten(2).abs().sum(2) > 0).all()


def test_mean_fusion_is_on_the_scale_of_mff():
    features = torch.randn(1, 1, 5, 3, 4)
    torch.testing.assert_close(mean(features)[0], mff(features)[0])


@pytest.mark.parametrize("fusion", [mff, mean])
def test_a_mask_leaves_modalities_out_as_if_they_were_not_there(fusion):
    features = torch.randn(3, 4, 5, 3, 4, dtype=torch.float64)
    subsets = [(0, 1, 2, 3), (1, 3), (2,)]
    present = torch.tensor([[m in s for m in range(4)] for s in subsets])
    fused, cosines = fusion(features, present)
    for b, subset in enumerate(subsets):
        alone, alone_cosines = fusion(features[b : b + 1, list(subset)])
        torch.testing.assert_close(fused[b : b + 1], alone)
        torch.testing.assert_close(cosines[b : b + 1, list(subset)], alone_cosines)
        assert not cosines[b, ~present[b]].any()


@pytest.mark.parametrize("fusion", [mff, mean])
def test_the_maps_of_one_sample_serve_many_subsets_at_once(fusion):
    features = torch.randn(1, 4, 5, 3, 4, dtype=torch.float64)
    subsets = [(0, 1, 2, 3), (1, 3), (2,), (0, 2, 3)]
    present = torch.tensor([[m in s for m in range(4)] for s in subsets])
    fused, cosines = fusion(features, present)
    assert fused.shape == (4, 5, 3, 4) and cosines.shape == (4, 4)
    for row, subset in enumerate(subsets):
        alone, alone_cosines = fusion(features[:, list(subset)])
        torch.testing.assert_close(fused[row], alone[0])
        torch.testing.assert_close(cosines[row, list(subset)], alone_cosines[0])


def test_what_is_absent_has_no_weight():
    present = torch.tensor([[True, False, True]])
    weights = modality_weights([torch.tensor([[0.9, 0.0, 0.3]])], present)
    torch.testing.assert_close(weights, torch.tensor([[0.75, 0.0, 0.25]]))


def test_features_that_cancel_out_give_numbers():
    features = torch.randn(1, 1, 6, 4, 4)
    fused, cosines = mff(torch.cat([features, -features], 1))
    assert torch.isfinite(fused).all() and torch.isfinite(cosines).all()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_large_maps_in_half_precision_give_numbers(kind):
    features = (100 * torch.randn(1, 3, 16, 20, 20)).to(kind)
    fused, cosines = mff(features)
    expected, expected_cosines = mff(features.float())
    torch.testing.assert_close(fused, expected)
    torch.testing.assert_close(cosines, expected_cosines)


@pytest.fixture
def peak(monkeypatch):
    """The fusion that docs/network.md shows as an example, as a fusion by that name."""
    text = (Path(__file__).parents[1] / "docs" / "network.md").read_text()
    code = re.search(r"^    def peak.*?(?=^    FUSIONS)", text, re.MULTILINE | re.DOTALL)
    names = {"torch": torch, "Tensor": torch.Tensor}
    exec(textwrap.dedent(code[0]), names)
    monkeypatch.setitem(FUSIONS, "peak", names["peak"])
    return names["peak"]


def test_the_fusion_of_the_documentation_does_not_see_what_is_not_present(peak):
    features = torch.randn(1, 3, 5, 2, 4)
    present = torch.tensor([[True, True, False], [False, False, True]])
    fused, counted = peak(features, present)
    torch.testing.assert_close(fused[0], features[0, :2].amax(0))
    torch.testing.assert_close(fused[1], features[0, 2])
    assert counted.tolist() == present.float().tolist()


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_fusion_of_ones_own_runs_with_every_engine(peak, engine, tmp_path, monkeypatch):
    pytest.importorskip(engine)
    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path))
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=8, classes=25, fusion="peak")).eval()
    checkpoints.save(tmp_path / "net.safetensors", network, Metadata(size=(64, 32)))
    own, other = (
        Segmenter.open(EngineConfig(str(tmp_path / "net.safetensors"), e, "cpu", precision="f32"))
        for e in ("torch", engine)
    )
    images = {m: np.random.rand(3, 32, 64).astype(np.float32) for m in list(Modality)[:3]}
    expected, weights = own.logits(own.encode(images))
    found, same = other.logits(other.encode(images))
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(same, weights, atol=1e-4)


def test_an_unknown_fusion_says_where_one_is_added():
    with pytest.raises(
        ValueError, match="'max': use one of mff, mean, hub, or add yours to FUSIONS in"
    ):
        NetworkConfig(fusion="max")
