"""Metrics: against torchmetrics, against values worked out by hand, and merged in any order."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.metrics import COARSE, Calibration, Confusion, mean_and_worst
from any2seg_ros.taxonomy import DELIVER


def scene(seed: int = 0, classes: int = 25, shape: tuple[int, int] = (48, 64)):
    """Labels with ignored pixels, a prediction that is right for 6 pixels in 10, a confidence."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    labels[labels == classes - 1] = 255
    guess = rng.integers(0, classes, shape).astype(np.uint8)
    prediction = np.where(rng.random(shape) < 0.6, labels, guess).astype(np.uint8)
    prediction[prediction == 255] = 0
    confidence = rng.random(shape, dtype=np.float32) ** 0.5
    return labels, prediction, confidence


def test_iou_and_its_mean_over_the_classes_present_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    from torchmetrics.classification import MulticlassJaccardIndex

    oracle = MulticlassJaccardIndex(num_classes=25, average=None, ignore_index=255)
    confusion = Confusion(DELIVER)
    for seed in range(3):
        labels, prediction, _ = scene(seed)
        confusion.add(labels, prediction)
        oracle.update(torch.from_numpy(prediction).long(), torch.from_numpy(labels).long())
    expected = 100 * oracle.compute().numpy()
    present = confusion.present
    assert present.sum() == 24
    np.testing.assert_allclose(confusion.iou()[present], expected[present], rtol=1e-5)
    assert confusion.miou() == pytest.approx(float(expected[present].mean()), rel=1e-5)


def test_expected_calibration_error_agrees_with_torchmetrics():
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import binary_calibration_error

    labels, prediction, confidence = scene()
    valid = labels != 255
    right = torch.from_numpy((labels == prediction)[valid].astype(np.int64))
    expected = binary_calibration_error(
        torch.from_numpy(confidence[valid]), right, n_bins=15, norm="l1"
    )
    found = Calibration().add(labels, prediction, confidence).ece()
    assert found == pytest.approx(float(expected), abs=4e-5)


def test_delivers_published_convention_counts_an_absent_class_as_zero():
    # By hand, four classes, class 2 absent everywhere, class 3 predicted but in no label:
    #   labels      0 0 0 0 | 1 1 1 1
    #   prediction  0 0 0 1 | 1 1 3 3
    # class 0: 3 right, union 4 -> 75; class 1: 2 right, union 5 -> 40; class 2: 0/0; class 3: 0/2.
    labels = np.array([[0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    prediction = np.array([[0, 0, 0, 1, 1, 1, 3, 3]], np.uint8)
    confusion = Confusion(4).add(labels, prediction)
    np.testing.assert_allclose(confusion.iou(), [75.0, 40.0, np.nan, np.nan])
    assert confusion.miou() == pytest.approx((75.0 + 40.0) / 2)
    assert confusion.miou(absent_counts_zero=True) == pytest.approx((75.0 + 40.0) / 4)


def test_pixels_labelled_255_do_not_count_and_pixels_without_a_prediction_count_as_missed():
    labels = np.array([[0, 0, 255, 255]], np.uint8)
    prediction = np.array([[0, 255, 0, 1]], np.uint8)
    confusion = Confusion(2).add(labels, prediction)
    assert confusion.pixels == 2
    assert confusion.miou() == 50.0
    assert confusion.accuracy() == 50.0


def test_nothing_counted_is_not_a_number_rather_than_zero():
    assert np.isnan(Confusion(3).miou())
    assert np.isnan(Calibration().ece())
    assert np.isnan(Calibration().area_under_risk())


def test_labels_outside_the_table_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="label 7 is not one of 3 classes"):
        Confusion(3).add(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="differ"):
        Confusion(3).add(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8))


def test_parts_merged_in_any_order_give_the_whole_to_the_last_bit():
    scenes = [scene(seed) for seed in range(6)]
    whole, calibration = Confusion(25), Calibration()
    for labels, prediction, confidence in scenes:
        whole.add(labels, prediction)
        calibration.add(labels, prediction, confidence)
    parts = [Confusion(25).add(*s[:2]) for s in reversed(scenes)]
    merged, sure = Confusion(25), Calibration()
    for part in parts:
        merged += part
    for labels, prediction, confidence in reversed(scenes):
        sure += Calibration().add(labels, prediction, confidence)
    assert merged.miou() == whole.miou()
    assert sure.ece() == calibration.ece()
    assert sure.area_under_risk() == calibration.area_under_risk()


def test_risk_is_the_error_rate_among_the_surest_pixels():
    # Ten pixels from sure to unsure; the surest six are right, the other four wrong.
    labels = np.zeros((1, 10), np.uint8)
    prediction = np.array([[0, 0, 0, 0, 0, 0, 1, 1, 1, 1]], np.uint8)
    confidence = np.linspace(0.95, 0.5, 10, dtype=np.float32)[None]
    calibration = Calibration().add(labels, prediction, confidence)
    coverage, risk = calibration.risk_coverage(points=11)
    np.testing.assert_allclose(coverage, np.linspace(0, 1, 11))
    np.testing.assert_allclose(risk[:7], 0.0, atol=1e-12)
    np.testing.assert_allclose(risk[7:], [1 / 7, 2 / 8, 3 / 9, 4 / 10])
    assert calibration.area_under_risk() == pytest.approx(0.1 * (1 / 7 + 2 / 8 + 3 / 9 + 4 / 10))


def test_a_reliability_bin_holds_pixels_mean_confidence_and_accuracy():
    confidence = np.full((1, 4), 0.9, np.float32)
    labels = np.array([[1, 1, 1, 1]], np.uint8)
    prediction = np.array([[1, 1, 1, 0]], np.uint8)
    fine = Calibration().add(labels, prediction, confidence)
    coarse = Calibration(per_bin=COARSE).add(labels, prediction, confidence)
    assert np.array_equal(fine.coarser().counts, coarse.counts)
    bins = fine.reliability()
    assert len(bins) == 15
    assert bins[13]["pixels"] == 4
    assert bins[13]["accuracy"] == 0.75
    assert bins[13]["confidence"] == pytest.approx(0.9, abs=1e-4)
    assert np.isnan(bins[0]["accuracy"])


def test_the_mean_is_over_subsets_and_the_worst_one_is_named():
    mean, worst = mean_and_worst({"rgb": 30.0, "event": 12.0, "rgb+event": 36.0})
    assert mean == pytest.approx(26.0)
    assert worst == {"subset": "event", "miou": 12.0}
