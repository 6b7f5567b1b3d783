"""LSCD against the paper's equations, worked out independently."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from any2seg_ros.training import lscd
from any2seg_ros.types import IGNORE


def test_masked_average_pooling_averages_under_the_label():
    fused = torch.randn(2, 3, 2, 2)
    labels = torch.tensor([[[0, 1], [1, IGNORE]], [[1, 3], [3, 3]]], dtype=torch.uint8)
    vectors, present = lscd.masked_average_pooling(fused, labels, 4)
    assert present.tolist() == [True, True, False, True]
    torch.testing.assert_close(vectors[0], fused[0, :, 0, 0])
    expected = (fused[0, :, 0, 1] + fused[0, :, 1, 0] + fused[1, :, 0, 0]) / 3
    torch.testing.assert_close(vectors[1], expected)


def test_intra_modal_is_smooth_l1_of_the_off_diagonal():
    fused = torch.randn(1, 3, 1, 2)
    labels = torch.tensor([[[0, 2]]], dtype=torch.uint8)
    teacher = torch.tensor([[1.0, 0.3, 0.6], [0.3, 1, 0.2], [0.6, 0.2, 1]])
    amount, count = lscd.intra_modal(fused, labels, teacher)
    angle = F.cosine_similarity(fused[0, :, 0, 0], fused[0, :, 0, 1], 0)
    assert count == 2
    torch.testing.assert_close(amount / count, F.smooth_l1_loss(angle, torch.tensor(0.6)))


def test_intra_modal_of_one_category_is_nothing():
    fused = torch.randn(1, 3, 2, 2, requires_grad=True)
    amount, count = lscd.intra_modal(fused, torch.zeros(1, 2, 2, dtype=torch.uint8), torch.eye(2))
    assert amount.item() == 0 and count.item() == 0


def test_inter_modal_is_zero_when_the_student_correlates_as_the_teacher():
    maps = torch.randn(2, 3, 4, 2, 2)
    fused = maps.mean(1)
    student = F.cosine_similarity(maps.flatten(2), fused.flatten(1)[:, None], 2)
    assert lscd.inter_modal(maps, fused, student)[0].item() == pytest.approx(0, abs=1e-5)
    assert lscd.inter_modal(maps, fused, student.flip(1))[0].item() > 0.01


def test_inter_modal_leaves_absent_modalities_out():
    maps = torch.randn(1, 3, 4, 2, 2, requires_grad=True)
    teacher = torch.tensor([[0.3, -torch.inf, 0.1]])
    amount, _ = lscd.inter_modal(maps, maps.mean(1).detach(), teacher)
    amount.backward()
    assert torch.isfinite(amount) and torch.isfinite(maps.grad).all()
    assert not maps.grad[0, 1].any()


def test_inter_modal_is_the_divergence_of_the_softened_correlations():
    maps, fused = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 4, 2, 2)
    teacher = torch.tensor([[0.3, 0.1, -0.2], [0.5, 0.4, 0.0]])
    amount, count = lscd.inter_modal(maps, fused, teacher, 0.5)
    expected = 0.0
    for b in range(2):
        student = torch.stack(
            [F.cosine_similarity(maps[b, m].flatten(), fused[b].flatten(), 0) for m in range(3)]
        )
        p, q = (teacher[b] / 0.5).softmax(0), (student / 0.5).softmax(0)
        expected += (p * (p / q).log()).sum()
    assert count == 2
    torch.testing.assert_close(amount, expected)


def test_nothing_is_a_number_where_features_are_zero():
    zero = torch.zeros(1, 3, 4, 2, 2, requires_grad=True)
    amount, _ = lscd.inter_modal(zero, zero.sum(1), torch.tensor([[0.3, 0.2, 0.1]]))
    amount.backward()
    assert torch.isfinite(amount) and torch.isfinite(zero.grad).all()
    assert lscd.cosine(torch.zeros(3), torch.ones(3)) == 0


def test_labels_that_are_ignored_have_no_part_in_a_category():
    fused = torch.randn(1, 3, 2, 2)
    labels = torch.full((1, 4, 4), IGNORE, dtype=torch.uint8)
    _, present = lscd.masked_average_pooling(fused, labels, 2)
    assert not present.any()
    labels[0, :2] = 1
    vectors, present = lscd.masked_average_pooling(fused, labels, 2)
    assert present.tolist() == [False, True]
    torch.testing.assert_close(vectors[1], fused[0, :, 0].mean(1))
