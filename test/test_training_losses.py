"""Losses and teachers, against values worked out independently."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training import lscd
from any2seg_ros.training.batches import Batch
from any2seg_ros.training.losses import class_weights, cross_entropy, distillation, hard_pixels
from any2seg_ros.training.teachers import (
    Clip,
    MiniLM,
    Scenes,
    describe,
    name_correlation,
    open_image_teacher,
    spoken,
)
from any2seg_ros.types import IGNORE, Modality


def test_cross_entropy_is_torchs_and_ignores_255():
    logits, labels = torch.randn(2, 5, 4, 6), torch.randint(0, 5, (2, 4, 6))
    labels[0, :2] = IGNORE
    weights = torch.rand(5) + 0.5
    amount, count = cross_entropy(logits, labels.to(torch.uint8), weights)
    expected = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE)
    torch.testing.assert_close(amount / count, expected)


def test_ohem_keeps_what_is_hard_and_at_least_its_share():
    logits = torch.zeros(1, 2, 1, 10)
    logits[0, 0] = torch.arange(10) - 2.0
    labels = torch.zeros(1, 1, 10, dtype=torch.long)
    probability = torch.sigmoid(logits[0, 0, 0])
    kept = hard_pixels(logits, labels, 0.1)[0, 0]
    assert torch.equal(kept, probability <= 0.7)
    assert hard_pixels(logits + 5 * torch.tensor([1, 0.0]).view(1, 2, 1, 1), labels, 0.3).sum() == 3


def test_rare_classes_weigh_more_within_the_limit_and_the_mean_is_one():
    labels = np.repeat(np.array([0, 1, 2, IGNORE], np.uint8), [8000, 900, 1, 500])
    weights = class_weights(labels, 4, 0.5, 3.0)
    assert weights[0] < weights[1] < weights[2] and weights[2] == weights[3]
    assert weights.max() / weights.min() <= 9.001
    shares = np.array([8000, 900, 1, 0]) / 8901
    assert (weights.numpy() * shares).sum() == pytest.approx(1)


def test_distillation_is_zero_for_equals_and_sends_no_gradient_to_the_teacher():
    teacher = torch.randn(2, 5, 3, 3, requires_grad=True)
    student = torch.randn(2, 5, 3, 3, requires_grad=True)
    assert distillation(teacher, teacher)[0].item() == pytest.approx(0, abs=1e-5)
    amount, count = distillation(student, teacher, 2.0)
    (amount / count).backward()
    assert teacher.grad is None and student.grad is not None
    p, q = F.softmax(teacher / 2, 1), F.softmax(student / 2, 1)
    expected = 4 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(amount / count, expected)


def test_the_text_teacher_knows_what_is_alike():
    matrix = name_correlation("minilm", DELIVER)
    assert matrix.shape == (25, 25)
    torch.testing.assert_close(matrix.diagonal(), torch.ones(25), atol=1e-4, rtol=0)
    bus, truck, sky = (DELIVER.id(name) for name in ("Bus", "Truck", "Sky"))
    assert matrix[bus, truck] > matrix[bus, sky]


def test_minilm_gives_unit_vectors_that_padding_does_not_change():
    teacher = MiniLM()
    alone = teacher.texts(["road"])
    padded = teacher.texts(["road", "a much longer text about roads and rails"])
    torch.testing.assert_close(alone[0], padded[0], atol=1e-5, rtol=1e-4)
    assert alone.norm().item() == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The real classes with a tiny random configuration."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel

    from any2seg_ros.training.teachers import _minilm_folder

    folder = tmp_path_factory.mktemp("clip")
    small = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**small, "vocab_size": 31000, "eos_token_id": 102},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(_minilm_folder()).save_pretrained(folder)
    return folder


def test_clip_embeds_texts_and_modality_images_in_one_space(clip):
    teacher = open_image_teacher(str(clip))
    assert isinstance(teacher, Clip)
    assert teacher.texts(["a road", "a sky"]).shape == (2, 8)
    vectors = teacher.images(Modality.LIDAR, torch.rand(3, 3, 20, 30))
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))


def test_scenes_correlate_every_modality_with_the_description(clip):
    batch = Batch(
        torch.rand(2, 4, 3, 16, 16),
        torch.zeros(2, 8, 8, dtype=torch.uint8),
        torch.ones(2, 4, dtype=torch.bool),
        torch.ones(1, 2, 4, dtype=torch.bool),
        ("full",),
        ("a", "b"),
        (("night",), ()),
    )
    correlation = Scenes(str(clip), "", DELIVER)(batch)
    assert correlation.shape == (2, 4) and correlation.abs().max() <= 1
    loss, _ = lscd.inter_modal(torch.randn(2, 4, 5, 3, 3), torch.randn(2, 5, 3, 3), correlation)
    assert torch.isfinite(loss)


def test_a_teacher_that_is_not_there_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no teacher at .*none"):
        open_image_teacher(str(tmp_path / "none"))


def test_a_description_names_the_weather_and_the_commonest_first():
    label = np.array([[6, 6, 6, 17], [9, 9, IGNORE, IGNORE]], np.uint8)
    text = describe(label, ("night", "motionblur"), DELIVER)
    assert text == "a street scene at night with motionblur with road, cars and traffic light"
    assert spoken("traffic_sign") == "traffic sign"
