"""A published checkpoint is known by its keys, all of which are used; nothing is executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import published_reference as reference
import pytest
import torch
from published_files import ORDER, saved

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
