"""Scoring every subset of a frame: protocols, noise tables, what is left out, the report."""

from __future__ import annotations

import json
import math
import zlib

import numpy as np
import pytest
import torch

from any2seg_ros.datasets import Sample
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.evaluation import summary
from any2seg_ros.evaluation.corruptions import generator
from any2seg_ros.evaluation.evaluator import (
    ALONE,
    TOGETHER,
    EvaluationConfig,
    Evaluator,
    Stopwatch,
    cost,
)
from any2seg_ros.evaluation.noise import clipped_noise, nm, rmm, torch_generator
from any2seg_ros.evaluation.summary import Context, summarize
from any2seg_ros.evaluation.tally import Tally
from any2seg_ros.label_maps import ClassGroups
from any2seg_ros.metrics import Confusion
from any2seg_ros.network import Any2Seg, checkpoints
from any2seg_ros.network.any2seg import NetworkConfig
from any2seg_ros.network.checkpoints import Metadata
from any2seg_ros.taxonomy import DELIVER
from any2seg_ros.types import Modality, Segmentation, all_subsets, parse_subset, subset_name

SIZE = (64, 64)
QUICK = EvaluationConfig(latency_frames=0, robustness=())
NOISY = EvaluationConfig(latency_frames=0)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    """An untrained network: its masks are nonsense, but depend on every modality."""
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32)).eval()
    for encoder in network.encoders:
        for stage in encoder.stages:  # vectors of the same length everywhere would tie in MFF
            torch.nn.init.normal_(stage.norm.bias)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    checkpoints.save(path, network, Metadata(size=SIZE))
    return Segmenter.open(EngineConfig(str(path), "torch", "cpu", threads=1))


def sample(index: int, without: tuple[Modality, ...] = (), **rest) -> Sample:
    rng = np.random.default_rng(index)
    images = {
        m: rng.normal(0, 1, (3, 64, 64)).astype(np.float32) for m in Modality if m not in without
    }
    label = np.repeat(np.repeat(rng.integers(0, 25, (6, 8)), 12, 0), 12, 1).astype(np.uint8)
    label[:3] = 255
    return Sample(f"frame{index}", images, label, **rest)


def evaluate(segmenter, samples, config=QUICK) -> Evaluator:
    evaluator = Evaluator(segmenter, config)
    for one in samples:
        evaluator.add(one)
    return evaluator


def report_of(evaluator: Evaluator, **rest) -> dict:
    protocol = evaluator.config.protocol
    context = Context("net", "data", "val", protocol, DELIVER, **rest)
    return json.loads(summary.dumps(summarize(evaluator.tally, context)))


def test_drop_scores_each_subset_as_if_the_others_were_not_there(segmenter):
    samples = [sample(0), sample(1)]
    evaluator = evaluate(segmenter, samples)
    for subset in all_subsets():
        expected = Confusion(DELIVER)
        for one in samples:
            alone = segmenter.segment({m: one.images[m] for m in subset}, (96, 72))
            expected.add(one.label, alone.labels)
        found = evaluator.tally.subsets[subset].confusion
        # Batches of other sizes round differently: a handful of ties may fall the other way.
        assert np.abs(found.matrix - expected.matrix).sum() < 20, subset_name(subset)


def test_zero_gives_the_network_zero_images_for_the_absent(segmenter):
    one = sample(0)
    evaluator = evaluate(
        segmenter, [one], EvaluationConfig("zero", robustness=(), latency_frames=0)
    )
    for subset in [(Modality.LIDAR,), (Modality.RGB, Modality.EVENT)]:
        given = {m: image if m in subset else 0 * image for m, image in one.images.items()}
        expected = Confusion(DELIVER).add(one.label, segmenter.segment(given, (96, 72)).labels)
        found = evaluator.tally.subsets[subset].confusion
        assert np.abs(found.matrix - expected.matrix).sum() < 20
        drop = evaluate(segmenter, [one]).tally.subsets[subset].confusion
        assert np.abs(found.matrix - drop.matrix).sum() > 200


def test_rmm_keeps_the_intact_modalities_and_zeroes_a_fraction_of_the_others(
    segmenter, monkeypatch
):
    one = sample(0)
    fractions = []

    def spy(images, fraction, rng):
        fractions.append((fraction, len(images)))
        return rmm(images, fraction, rng)

    monkeypatch.setattr("any2seg_ros.evaluation.evaluator.rmm", spy)
    tally = evaluate(segmenter, [one], NOISY).tally
    assert fractions == [(0.25, 4), (0.5, 4), (0.75, 4)]
    assert list(tally.rmm) == [0.25, 0.5, 0.75]
    assert all(len(table) == 14 for table in tally.rmm.values())
    assert list(tally.nm) == ["low", "mid", "high"]


def apart(one: Confusion, segmentation: Segmentation, label: np.ndarray) -> int:
    """How many counts differ from those of a segmentation, each wrong pixel twice."""
    return np.abs(one.matrix - Confusion(DELIVER).add(label, segmentation.labels).matrix).sum()


def test_rmm_fuses_the_maps_of_intact_modalities_with_those_of_worn_ones(segmenter):
    one = sample(0)
    tally = evaluate(segmenter, [one], NOISY).tally
    rng = torch_generator(NOISY.seed, zlib.crc32(one.name.encode()), 1, 1)
    maps = segmenter.encode(one.images)
    worn = segmenter.encode(rmm(one.images, 0.5, rng))
    for subset in [(Modality.LIDAR,), (Modality.RGB, Modality.EVENT)]:
        expected = {m: maps[m] if m in subset else worn[m] for m in maps}
        swapped = {m: worn[m] if m in subset else maps[m] for m in maps}
        found = tally.rmm[0.5][subset].confusion
        assert apart(found, segmenter.fuse(expected, (96, 72)), one.label) < 20
        for other in (swapped, maps, worn):
            assert apart(found, segmenter.fuse(other, (96, 72)), one.label) > 200


def test_nm_segments_the_noisy_images_of_all_modalities(segmenter):
    one = sample(0)
    tally = evaluate(segmenter, [one], NOISY).tally
    worse = nm(one.images, "mid", torch_generator(NOISY.seed, zlib.crc32(one.name.encode()), 2, 1))
    assert apart(tally.nm["mid"].confusion, segmenter.segment(worse, (96, 72)), one.label) == 0
    assert (
        apart(tally.nm["mid"].confusion, segmenter.segment(one.images, (96, 72)), one.label) > 200
    )


def test_clipped_noise_has_a_table_of_its_own(segmenter):
    one = sample(0)
    config = EvaluationConfig(latency_frames=0, robustness=("noise",))
    evaluator = evaluate(segmenter, [one], config)
    rng = generator(config.seed, zlib.crc32(one.name.encode()), 2, 1)
    worse = {m: clipped_noise(image, m, "mid", rng) for m, image in one.images.items()}
    assert (
        apart(evaluator.tally.noise["mid"].confusion, segmenter.segment(worse, (96, 72)), one.label)
        == 0
    )
    report = report_of(evaluator)
    assert report["nm"] is None and set(report["noise"]) == {"low", "mid", "high"}


def test_a_sensor_s_noise_does_not_depend_on_which_others_are_evaluated(segmenter, monkeypatch):
    def given(*modalities: Modality) -> list[dict]:
        calls, encode = [], segmenter.encode
        with monkeypatch.context() as patch:
            patch.setattr(
                segmenter, "encode", lambda images: calls.append(images) or encode(images)
            )
            config = EvaluationConfig(modalities=modalities, latency_frames=0)
            evaluate(segmenter, [sample(0)], config)
        return calls

    few, all_four = given(Modality.DEPTH, Modality.EVENT), given(*Modality)
    assert len(few) == len(all_four) == 7  # as it is, three times RMM, three times NM
    for two, four in zip(few, all_four, strict=True):
        assert set(two) == {Modality.DEPTH, Modality.EVENT}
        for modality, image in two.items():
            np.testing.assert_array_equal(image, four[modality])


def test_the_deliver_convention_counts_an_absent_class_as_zero():
    tally = Tally(25, (Modality.RGB,))
    label = np.array([[0, 0, 1, 1, 255]], np.uint8)
    labels = np.array([[0, 0, 1, 0, 2]], np.uint8)
    found = Segmentation(labels, np.ones(labels.shape, np.float32), {Modality.RGB: 1.0})
    tally.add(label, {(Modality.RGB,): found}, ())
    report = summarize(tally, Context("net", "data", "val", "drop", DELIVER))
    both = 100 * 2 / 3 + 100 * 1 / 2
    assert report["subsets"]["rgb"]["miou"] == pytest.approx(both / 2)
    assert report["deliver_convention"]["subsets"] == {"rgb": pytest.approx(both / 25)}
    assert report["deliver_convention"]["mean"] == pytest.approx(both / 25)


@pytest.mark.parametrize("method", ["add", "add_rmm", "add_nm", "__iadd__"])
def test_a_frame_that_is_cut_short_is_in_no_table(segmenter, monkeypatch, method):
    evaluator = evaluate(segmenter, [sample(0, conditions=["sun"])], NOISY)
    whole = getattr(Tally, method)

    def cut(*given):
        whole(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tally, method, cut)
        with pytest.raises(KeyboardInterrupt):
            evaluator.add(sample(1, conditions=["night"]))
    alone = evaluate(segmenter, [sample(0, conditions=["sun"])], NOISY)
    assert report_of(evaluator, partial=True) == report_of(alone, partial=True)


def test_data_without_a_labelled_pixel_are_one_error(segmenter):
    one = sample(0)
    one.label[:] = 255
    with pytest.raises(ValueError, match="no labelled pixel in 1 frames of data"):
        report_of(evaluate(segmenter, [one]))


def test_a_frame_that_lacks_a_modality_is_left_out_and_the_reason_is_counted(segmenter):
    blind = sample(1, (Modality.RGB,), reasons={Modality.RGB: "black image"})
    evaluator = evaluate(segmenter, [sample(0), blind, sample(2, (Modality.EVENT,))])
    report = report_of(evaluator)
    assert report["frames"] == 1
    assert report["left_out"] == {
        "incomplete, no event (event: missing)": 1,
        "incomplete, no rgb (rgb: black image)": 1,
    }


def test_of_frames_that_are_left_out_one_is_named_whoever_met_it_first(segmenter):
    first, second = (evaluate(segmenter, [sample(i)]) for i in range(2))
    first.tally.leave_out("a file is missing", "b.png is missing")
    second.tally.leave_out("a file is missing", "a.png is missing")
    second.tally.leave_out("no ground truth")
    second.tally += first.tally
    report = report_of(second, notes=["limited"])
    assert report["left_out"] == {"a file is missing": 2, "no ground truth": 1}
    assert report["notes"] == ["limited", "a file is missing, for example: a.png is missing"]


def test_two_modalities_have_three_subsets(segmenter):
    config = EvaluationConfig(
        modalities=(Modality.RGB, Modality.LIDAR), robustness=(), latency_frames=0
    )
    report = report_of(evaluate(segmenter, [sample(0, (Modality.EVENT,))], config))
    assert list(report["subsets"]) == ["rgb", "lidar", "rgb+lidar"]
    assert report["modalities"] == ["rgb", "lidar"]


def test_shards_merge_to_the_very_report_of_one_process(segmenter):
    samples = [sample(i, conditions=("night", "sun")[i % 2 : i % 2 + 1]) for i in range(3)]
    whole = evaluate(segmenter, samples, NOISY)
    first = evaluate(segmenter, samples[::2], NOISY)
    second = evaluate(segmenter, samples[1::2], NOISY)
    second.tally += first.tally
    assert report_of(second) == report_of(whole)
    shown = [
        [s.name for s in t.gallery.best + t.gallery.worst] for t in (second.tally, whole.tally)
    ]
    assert shown[0] == shown[1] and len(shown[0]) == 6


def test_a_single_sensor_has_no_subset_to_wear(segmenter):
    config = EvaluationConfig(modalities=(Modality.RGB,), latency_frames=0)
    report = report_of(evaluate(segmenter, [sample(0)], config))
    assert list(report["subsets"]) == ["rgb"]
    assert report["mean"] == report["subsets"]["rgb"]["miou"]


def test_a_frame_with_a_label_that_is_no_class_is_left_out(segmenter):
    spoiled = sample(1)
    spoiled.label[20, 20] = 25
    report = report_of(evaluate(segmenter, [sample(0), spoiled]))
    assert report["frames"] == 1
    assert report["left_out"] == {"label 25 is no class of deliver": 1}


def test_a_report_is_read_from_its_folder_too(segmenter, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no report at {tmp_path}/report.json: give"):
        summary.load(tmp_path)
    report = report_of(evaluate(segmenter, [sample(0)]))
    (tmp_path / "report.json").write_text(summary.dumps(report))
    assert summary.load(tmp_path) == summary.load(tmp_path / "report.json") == report


def test_what_is_no_report_is_said():
    assert summary.check([]) == ["it is not an object"]
    assert "missing" in summary.check({"subsets": {"rgb": 40}})[0]
    assert summary.check({"subsets": []})


def test_a_report_keeps_its_schema_and_has_all_figures_in_percent(segmenter):
    samples = [sample(i, conditions=["night"]) for i in range(2)]
    evaluator = evaluate(segmenter, samples, EvaluationConfig(latency_frames=1))
    latencies = evaluator.stopwatch.milliseconds()
    report = report_of(evaluator, latencies_ms=latencies, cost=cost(evaluator.stopwatch))
    assert summary.check(report) == []
    assert list(report["subsets"])[-1] == "rgb+depth+lidar+event"
    miou = {name: row["miou"] for name, row in report["subsets"].items()}
    assert report["mean"] == pytest.approx(sum(miou.values()) / 15)
    assert report["worst"] == {"subset": min(miou, key=miou.get), "miou": min(miou.values())}
    assert all(0 < value < 100 for value in miou.values())
    assert all(0 <= row["ece"] <= 1 and row["latency_ms"] > 0 for row in report["subsets"].values())
    assert list(report["emm"]) == ["average", "0.2", "0.1", "0.05"]
    assert report["emm"]["average"] == report["mean"]
    assert set(report["rmm"]) == {"0.25", "0.5", "0.75"}
    average = {f: row["average"] for f, row in report["rmm_by_probability"].items()}
    assert report["rmm"] == average
    assert report["noise"] is None
    assert set(report["nm"]) == {"low", "mid", "high"}
    assert report["conditions"]["night"]["subsets"] == pytest.approx(miou)
    errors = report["calibration"]
    ece = {name: row["ece"] for name, row in report["subsets"].items()}
    night = errors["conditions"]["night"]
    assert night["full"] == pytest.approx(ece["rgb+depth+lidar+event"], abs=1e-3)
    assert night["mean"] == pytest.approx(sum(ece.values()) / 15, abs=1e-3)
    assert night["worst"]["ece"] == pytest.approx(max(ece.values()), abs=1e-3)
    assert set(errors["rmm"]) == set(report["rmm"]) and errors["noise"] is None
    assert all(0 < errors["nm"][level] < 1 for level in ("low", "mid", "high"))
    assert report["classes"]["Road"]["pixels"] > 0
    assert report["cost"]["all_subsets_vs_full"] > 1
    assert all(parse_subset(name) for name in report["subsets"])


def test_the_cost_compares_laps_that_follow_each_other():
    stopwatch = Stopwatch()
    stopwatch.laps = {
        (Modality.RGB,): [0.5],
        TOGETHER: [2.0, 20.0, 2.2],  # something else ran beside the second pair
        ALONE: [1.0, 10.0, 1.0],
    }
    found = cost(stopwatch)
    assert found["all_subsets_vs_full"] == 2.0
    assert found["subsets"] == 1 and found["full_ms"] == 1000
    assert cost(Stopwatch()) == {}


def test_a_report_of_no_frame_is_refused_with_the_reasons(segmenter):
    evaluator = evaluate(segmenter, [sample(0, (Modality.RGB,))])
    with pytest.raises(ValueError, match="no frame could be evaluated: 1 x incomplete, no rgb"):
        report_of(evaluator)


def test_a_class_that_no_label_has_is_null_in_the_report_and_never_zero(segmenter):
    one = sample(0)
    one.label[one.label == DELIVER.id("Bus")] = 255
    classes = report_of(evaluate(segmenter, [one]))["classes"]
    assert classes["Bus"]["iou"] is None and classes["Bus"]["pixels"] == 0
    assert not any(
        isinstance(v, float) and math.isnan(v) for c in classes.values() for v in c.values()
    )


def test_unknown_protocols_and_tables_are_refused():
    with pytest.raises(ValueError, match="unknown protocol 'mixed'"):
        EvaluationConfig("mixed")
    with pytest.raises(ValueError, match="unknown robustness table 'emm2'"):
        EvaluationConfig(robustness=("emm2",))


def test_a_file_that_is_no_report_is_refused_by_name(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="report.json is not JSON"):
        summary.load(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="'kind' is missing"):
        summary.load(path)


def test_a_group_is_as_sure_as_its_classes_together(segmenter):
    """All classes in one group: it is right everywhere, and has to be sure of it."""
    everything = frozenset(range(len(DELIVER)))
    groups = ClassGroups(DELIVER, (everything, frozenset([0])))
    whole = sample(1)
    whole.label[whole.label != 255] = 0
    evaluator = Evaluator(segmenter, NOISY, groups)
    assert evaluator.add(whole) == 100.0
    tally = evaluator.tally
    scores = [*tally.subsets.values(), *tally.nm.values(), *tally.noise.values()]
    assert len(scores) > 15 and all(score.ece() < 2e-3 for score in scores)
    plain = Evaluator(segmenter, QUICK)
    plain.add(whole)
    assert max(score.ece() for score in plain.tally.subsets.values()) > 0.01
