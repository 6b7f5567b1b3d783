"""Losses, LSCD, teachers and calibration, against values worked out independently."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.training.losses import (
    class_weights,
    cross_entropy,
    cross_modal,
    distillation,
    hard_pixels,
    jaccard,
    surprise,
    unimodal,
)
from any2seg_ros.training.teachers import (
    MiniLM,
    name_correlation,
)
from any2seg_ros.types import IGNORE


def test_cross_entropy_is_torchs_and_ignores_255():
    logits, labels = torch.randn(2, 5, 4, 6), torch.randint(0, 5, (2, 4, 6))
    labels[0, :2] = IGNORE
    weights = torch.rand(5) + 0.5
    amount, count = cross_entropy(logits, labels.to(torch.uint8), weights)
    expected = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE)
    torch.testing.assert_close(amount / count, expected)


def iou(predicted: torch.Tensor, labels: torch.Tensor, label: int) -> float:
    """The intersection over union of one label, by its definition."""
    valid = labels != IGNORE
    mine, theirs = (predicted == label) & valid, (labels == label) & valid
    return float((mine & theirs).sum() / (mine | theirs).sum())


def test_the_jaccard_loss_of_a_hard_prediction_is_what_its_ious_lack():
    predicted, labels = torch.randint(0, 4, (2, 5, 6)), torch.randint(0, 4, (2, 5, 6))
    labels[0, :2] = IGNORE
    logits = 1e3 * F.one_hot(predicted, 5).movedim(-1, 1).float()
    amount, count = jaccard(logits, labels.to(torch.uint8))
    there = labels[labels != IGNORE].unique().tolist()
    assert count == len(there)
    expected = sum(1 - iou(predicted, labels, label) for label in there)
    assert float(amount) == pytest.approx(expected, abs=1e-4)


def test_the_jaccard_loss_pulls_towards_a_rare_label_harder_than_the_cross_entropy():
    labels = torch.zeros(1, 10, 10, dtype=torch.long)
    labels[0, 0, :2] = 1
    pulls = []
    for loss in (lambda x: jaccard(x, labels), lambda x: cross_entropy(x, labels, None)):
        logits = torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).repeat(1, 1, 10, 10).requires_grad_()
        amount, count = loss(logits)
        (slope,) = torch.autograd.grad(amount / count, logits)
        pulls.append(float(-slope[0, 1, 0, :2].sum() / slope[0, 1].abs().sum()))
    assert pulls[0] > 2 * pulls[1]


def test_the_jaccard_loss_knows_labels_of_several_classes_and_trust():
    members = torch.zeros(256, 4, dtype=torch.bool)
    members[:4] = torch.eye(4, dtype=torch.bool)
    members[4, 1:3] = True
    labels = torch.tensor([[[0, 4, 4, 1], [3, IGNORE, 0, 0]]])
    predicted = torch.tensor([[[0, 1, 2, 2], [3, 0, 0, 3]]])
    logits = 1e3 * F.one_hot(predicted, 4).movedim(-1, 1).float()
    amount, count = jaccard(logits, labels, members)
    # 0: two of three; 1: missed, and where it may be one of 4 it is no mistake; 3: one of two;
    # 4: all, for the pixel of 1 may be one of it as well.
    assert count == 4
    assert float(amount) == pytest.approx(1 / 3 + 1 + 1 / 2 + 0, abs=1e-4)
    trust = torch.tensor([[[1.0, 1, 1, 1], [1, 1, 1, 0.5]]])
    amount, _ = jaccard(logits, labels, members, trust)
    assert float(amount) == pytest.approx(0.5 / 2.5 + 1 + 0.5 / 1.5 + 0, abs=1e-4)
    trust[0, 0, 3] = 0  # the only pixel of 1
    amount, count = jaccard(logits, labels, members, trust)
    assert count == 3 and float(amount) == pytest.approx(0.5 / 2.5 + 0.5 / 1.5, abs=1e-4)


def test_the_jaccard_loss_of_nothing_labelled_is_nothing():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    amount, count = jaccard(logits, torch.full((1, 2, 2), IGNORE))
    amount.backward()
    assert (float(amount), float(count)) == (0, 0)


def test_ohem_keeps_what_is_hard_and_at_least_its_share():
    logits = torch.zeros(1, 2, 1, 10)
    logits[0, 0] = torch.arange(10) - 2.0
    labels = torch.zeros(1, 1, 10, dtype=torch.long)
    probability = torch.sigmoid(logits[0, 0, 0])
    kept = hard_pixels(surprise(logits, labels), 0.1)[0, 0]
    assert torch.equal(kept, probability <= 0.7)
    easier = logits + 5 * torch.tensor([1, 0.0]).view(1, 2, 1, 1)
    assert hard_pixels(surprise(easier, labels), 0.3).sum() == 3


def test_rare_classes_weigh_more_within_the_limit_and_the_mean_is_one():
    labels = np.repeat(np.array([0, 1, 2, IGNORE], np.uint8), [8000, 900, 1, 500])
    weights = class_weights(labels, np.eye(4, dtype=bool), 0.5, 3.0)
    assert weights[0] < weights[1] < weights[2] and weights[2] == weights[3]
    assert weights.max() / weights.min() <= 9.001
    shares = np.array([8000, 900, 1, 0]) / 8901
    assert (weights.numpy() * shares).sum() == pytest.approx(1)


def test_a_label_of_several_classes_is_trained_with_their_summed_probability():
    logits = torch.randn(1, 4, 2, 3)
    members = torch.zeros(256, 4, dtype=torch.bool)
    members[:4] = torch.eye(4, dtype=torch.bool)
    members[4, 1:3] = True
    labels = torch.tensor([[[0, 4, 4], [3, IGNORE, 2]]])
    amount, count = cross_entropy(logits, labels, None, members=members)
    p = logits.softmax(1)[0]
    meant = (p[0, 0, 0], p[1:3, 0, 1].sum(), p[1:3, 0, 2].sum(), p[3, 1, 0], p[2, 1, 2])
    torch.testing.assert_close(amount, -torch.stack(meant).log().sum())
    assert count == 5


def test_pixels_count_as_much_as_they_are_trusted():
    logits, labels = torch.randn(1, 4, 2, 2), torch.tensor([[[0, 1], [2, IGNORE]]])
    trust = torch.tensor([[[1.0, 0.5], [0.0, 1.0]]])
    amount, count = cross_entropy(logits, labels, None, trust=trust)
    each = -logits.log_softmax(1)[0]
    torch.testing.assert_close(amount, each[0, 0, 0] + 0.5 * each[1, 0, 1])
    assert count == 1.5


def test_a_label_of_several_classes_weighs_as_they_do_together():
    members = np.eye(4, dtype=bool)
    members = np.concatenate([members, [[True, True, False, False]]])
    labels = np.repeat(np.array([0, 1, 2, 4], np.uint8), [100, 100, 10, 200])
    weights = class_weights(labels, members, 0.5, 9.0)
    assert weights[0] == weights[1] > weights[4] and weights[2] > weights[0]


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


def features() -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
    """Maps of a student and a teacher, and the subsets of two samples."""
    shapes = ((2, 4, 3, 4, 6), (2, 4, 5, 2, 3))
    student, teacher = ([torch.randn(s) for s in shapes] for _ in range(2))
    return student, teacher, torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0]], dtype=torch.bool)


def test_unimodal_is_the_divergence_of_each_modality_of_the_subset():
    student, teacher, subset = features()
    amount, count = unimodal(student, teacher, subset)
    expected = []
    for b, m in subset.nonzero().tolist():
        for mine, theirs in zip(student, teacher, strict=True):
            p, q = theirs[b, m].softmax(0), mine[b, m].softmax(0)
            expected.append((p * (p / q).log()).sum(0).mean())
    assert count == 4
    torch.testing.assert_close(amount / count, torch.stack(expected).mean())
    assert float(unimodal(teacher, teacher, subset)[0]) == pytest.approx(0, abs=1e-6)


def test_cross_modal_compares_the_cosines_between_modalities_of_the_subset():
    student, teacher, subset = features()
    amount, count = cross_modal(student, teacher, subset)
    expected = []
    for a, b in ((0, 2), (0, 3), (2, 3)):
        for mine, theirs in zip(student, teacher, strict=True):
            cosines = [
                F.cosine_similarity(maps[0, a].flatten(), maps[0, b].flatten(), dim=0)
                for maps in (mine, theirs)
            ]
            expected.append((cosines[0] - cosines[1]) ** 2)
    assert count == 6  # both orders of three pairs; one modality alone has none
    torch.testing.assert_close(amount / count, torch.stack(expected).mean())


def test_the_text_teacher_knows_what_is_alike():
    matrix = name_correlation("minilm", DELIVER)
    assert matrix.shape == (25, 25)
    torch.testing.assert_close(matrix.diagonal(), torch.ones(25), atol=1e-4, rtol=0)
    bus, truck, sky = (DELIVER.id(name) for name in ("Bus", "Truck", "Sky"))
    assert matrix[bus, truck] > matrix[bus, sky]
    photos = name_correlation("minilm", DELIVER, "a photo of a {}")
    assert (photos - matrix).abs().max() > 0.01


def test_minilm_gives_unit_vectors_that_padding_does_not_change():
    teacher = MiniLM()
    alone = teacher.texts(["road"])
    padded = teacher.texts(["road", "a much longer text about roads and rails"])
    torch.testing.assert_close(alone[0], padded[0], atol=1e-5, rtol=1e-4)
    assert alone.norm().item() == pytest.approx(1, abs=1e-5)
