"""An adaptation from bag to weights: what it reads, what it keeps, what it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import ctrl_c
import cv2
import numpy as np
import pytest
import tiny_drive
import torch
from adaptation_data import Place
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from test_adaptation_judging import BEFORE as OLD
from test_adaptation_judging import changed

from any2seg_ros.adaptation import run
from any2seg_ros.adaptation.config import AdaptationConfig, Margins
from any2seg_ros.adaptation.result import BEFORE, Outcome
from any2seg_ros.adaptation.run import Adaptation
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.files import checksum
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.taxonomy import get
from any2seg_ros.types import IGNORE

pytestmark = pytest.mark.timeout(1800)
"""Whole adaptations, on machines that have other things to do."""
LENIENT = Margins(100, 100, 100, 100, 100, -100)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load(path)[0].state_dict()


def same(first: Path, second: Path) -> bool:
    one, other = weights(first), weights(second)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def adapted(drive: Place) -> tuple[Outcome, Path]:
    """What everything else is compared with, and its folder."""
    config = drive.config("adapted", margins=LENIENT)
    return Adaptation(config).run(), config.out


def last_round(out: Path) -> Path:
    return out / "rounds" / "2" / "weights.safetensors"


def test_the_result_is_a_normal_weights_file_with_its_history(adapted, drive):
    outcome, out = adapted
    assert outcome.better
    segmenter = Segmenter.open(EngineConfig(str(out / "weights.safetensors"), "torch", "cpu"))
    told = segmenter.metadata.training["adaptation"]
    assert told["parent"] == {"file": "small.safetensors", "sha256": checksum(drive.weights)}
    recorded = next(drive.bag.glob("*.mcap"))
    assert told["bags"] == {f"drive/{recorded.name}": checksum(recorded)}
    assert told["options"]["steps"] == 4 and told["chosen"] == outcome.chosen
    assert segmenter.metadata.size == (96, 64)
    assert set(told["after"]["streets"]) >= {"rgb", "depth", "lidar", "event"}


def test_who_sees_best_and_the_decoder_stay_bit_by_bit(adapted, drive):
    """Alone, that sensor sees what it saw; the others have learned."""
    outcome, out = adapted
    sensors = ["rgb", "depth", "lidar", "event"]
    stays = sensors.index(outcome.before.best)
    before = weights(drive.weights)
    for path in (last_round(out), out / "weights.safetensors"):
        after = weights(path)
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        assert {name.split(".")[0] for name in changed} == {"encoder", "adapters"}
        learned = {int(name.split(".")[1]) for name in changed if name.startswith("encoder")}
        assert learned == set(range(4)) - {stays}
        for name in (n for n in changed if n.startswith("adapters")):
            assert torch.equal(after[name][:, stays], before[name][:, stays])


def test_the_report_shows_every_sensor_before_and_after(adapted):
    _, out = adapted
    page = (out / "report.html").read_text()
    for sensor in ("rgb", "depth", "lidar", "event", "rgb+depth+lidar+event"):
        assert f'alt="{sensor} before"' in page and f'alt="{sensor} after"' in page
    report = json.loads((out / "report.json").read_text())
    assert report["chosen"] in report["judged"] and BEFORE in report["judged"]
    assert report["teachers"]["rgb"] > 0


def test_the_held_back_part_is_never_trained_on(adapted):
    from any2seg_ros.training.cached_dataset import CachedDataset

    _, out = adapted
    held = CachedDataset(out / "lessons" / "held")
    judged_on = {n for n, p in zip(held.names, held.present.any(1), strict=True) if p}
    assert len(judged_on) == 7
    for number in ("1", "2"):
        taught = CachedDataset(out / "lessons" / number)
        trained_on = {n for n, p in zip(taught.names, taught.present.any(1), strict=True) if p}
        assert trained_on and max(trained_on) < min(judged_on)


def copied(bag: Path, folder: Path, wrong: bool) -> Path:
    """A copy of a bag without its ground truth, or with that of other frames."""
    with (
        Reader(bag) as reader,
        Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        labels = [c for c in reader.connections if "label" in c.topic]
        others = [data for _, _, data in reader.messages(labels)]
        assert len(labels) == 1 and len(set(others)) > 1
        kept = {
            c.topic: writer.add_connection(c.topic, c.msgtype, typestore=tiny_drive.STORE)
            for c in reader.connections
            if wrong or c not in labels
        }
        for connection, time, data in reader.messages():
            if connection.topic in kept:
                written = others.pop() if connection in labels else data
                writer.write(kept[connection.topic], time, written)
    return folder


def begun(out: Path, config: AdaptationConfig) -> AdaptationConfig:
    """Its folder, as it is when the teacher of the adaptation in `out` has looked at the drive."""
    config.out.mkdir()
    shutil.copytree(out / "cache", config.out / "cache")
    for part in ("1", "held"):
        shutil.copytree(out / "lessons" / part, config.out / "lessons" / part, symlinks=True)
    shutil.copy(out / "teachers.json", config.out)
    before = json.loads((out / "judged.json").read_text())[BEFORE]
    (config.out / "judged.json").write_text(json.dumps({BEFORE: before}))
    return config


def test_no_label_of_a_bag_is_read(adapted, drive, tmp_path):
    """Wrong ground truth, and none at all, give the weights of the drive with the right one."""
    outcome, out = adapted
    bag = copied(drive.bag, tmp_path / "wrong" / "drive", wrong=True)
    config = replace(drive.config("wrong", margins=LENIENT), bags=(bag,))
    again = Adaptation(config).run()
    assert same(last_round(out), last_round(config.out))
    assert again.judged == outcome.judged
    bag = copied(drive.bag, tmp_path / "none" / "drive", wrong=False)
    work = Adaptation(replace(drive.config("none"), bags=(bag,)))
    cached = work.open_drive().cached
    assert cached.images.tobytes() == Adaptation(config).open_drive().cached.images.tobytes()
    assert (np.asarray(cached.labels) == IGNORE).all()


def test_given_labels_are_read(adapted, drive, tmp_path):
    from any2seg_ros.datasets import Labelling
    from any2seg_ros.training.cached_dataset import CachedDataset

    _, out = adapted
    names = CachedDataset(out / "lessons" / "1").names
    for name in names[::2]:
        label = np.full((40, 64), 9, np.uint8)
        cv2.imwrite(str(tmp_path / f"{name.rpartition('/')[2]}.png"), label)
    labelling = Labelling((tmp_path,))
    config = replace(
        drive.config("labelled", margins=LENIENT), labelling=labelling, steps=2, rounds=1
    )
    Adaptation(config).run()
    taught = CachedDataset(config.out / "lessons" / "1")
    values = taught.labels[0]
    assert (values == 9).all() and taught.groups[9] == [9]
    assert not same(config.out / "rounds/1/weights.safetensors", last_round(out))


def test_bags_and_streets_are_opened_once(adapted, drive, monkeypatch):
    """Twice, and the first of several processes would hold a lock that the others meet."""
    _, out = adapted
    opened: list[str] = []

    def count(name: str) -> None:
        open_it = getattr(run, name)
        monkeypatch.setattr(run, name, lambda *given: opened.append(name) or open_it(*given))

    count("open_drive")
    count("open_streets")
    monkeypatch.setattr(Adaptation, "_train", lambda work: None)
    Adaptation(begun(out, drive.config("opened", margins=LENIENT))).run()
    assert opened == ["open_drive", "open_streets"]


def test_what_was_judged_is_not_blended_again(adapted, drive, monkeypatch):
    outcome, _ = adapted
    monkeypatch.setattr(run, "blend", None)
    again = Adaptation(drive.config("adapted", margins=LENIENT)).run()
    assert (again.judged, again.chosen) == (outcome.judged, outcome.chosen)


@pytest.mark.parametrize(
    ("judgement", "tried"),
    [
        (changed(sure_accuracy={"lidar": 40.3}), ["50 %", "75 %", "87 %"]),
        (changed(streets={"rgb": 20.0}), ["50 %", "25 %", "12 %"]),
    ],
)
def test_the_way_is_halved_by_what_is_lost(judgement, tried):
    """Nearer to the old weights, a gain that is too small is smaller still."""
    names: list[str] = []
    work = SimpleNamespace(
        config=AdaptationConfig((Path("bag"),), Path()),
        judged=lambda: {BEFORE: OLD, **dict.fromkeys(names, judgement)},
        _first=lambda judge: judge(),
        _judge_between=lambda name, last, share: names.append(name),
    )
    Adaptation._blend(work, Path())
    assert names == [f"{share} of the way" for share in tried]


SCRIPT = """
import sys
from pathlib import Path
from adaptation_data import Place
from any2seg_ros.adaptation.run import Adaptation
from test_adaptation_run import LENIENT
import os, signal
def progress(done, total, what):
    if what.startswith("training") and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
Adaptation(Place(Path(sys.argv[1])).config("killed", margins=LENIENT), progress=progress).run()
"""


def test_a_killed_adaptation_resumes_to_the_same_weights(adapted, drive):
    _, out = adapted
    config = begun(out, drive.config("killed", margins=LENIENT))
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(drive.root)], env=environment, timeout=600, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert not (config.out / "weights.safetensors").exists()
    Adaptation(config).run()
    assert same(last_round(out), last_round(config.out))


def test_ctrl_c_keeps_the_best_and_the_same_command_resumes(adapted, drive):
    _, out = adapted
    config = begun(out, drive.config("interrupted", margins=LENIENT))

    def progress(done: float, total: float, what: str) -> None:
        if what.startswith("training") and done == 3:
            ctrl_c.press()

    with ctrl_c.heeded(), pytest.raises(KeyboardInterrupt):
        Adaptation(config, progress=progress).run()
    report = json.loads((config.out / "report.json").read_text())
    assert report["partial"] and report["steps"] == 3
    assert {"round 1", "interrupted 2 after 1 steps"} <= set(report["judged"])
    assert (config.out / "weights.safetensors").is_file()
    outcome = Adaptation(config).run()
    assert not outcome.partial and "interrupted 2 after 1 steps" not in outcome.judged
    assert same(last_round(out), last_round(config.out))


def test_what_ctrl_c_keeps_has_the_temperatures_and_the_gate_it_began_with(
    adapted, drive, tmp_path
):
    _, out = adapted
    network, metadata = checkpoints.load(drive.weights)
    gated = tmp_path / "gated.safetensors"
    checkpoints.save(gated, network, replace(metadata, gate={"margin": 0.25}))
    config = begun(out, drive.config("gated", margins=LENIENT, model=str(gated)))

    def progress(done: float, total: float, what: str) -> None:
        if what.startswith("training"):
            ctrl_c.press()

    with ctrl_c.heeded(), pytest.raises(KeyboardInterrupt):
        Adaptation(config, progress=progress).run()
    kept = checkpoints.read_header(config.out / "weights.safetensors").metadata
    assert kept.gate == {"margin": 0.25}
    assert kept.temperatures == metadata.temperatures != {}


def test_weights_that_lose_are_not_kept(adapted, drive):
    """No step of training can gain as much as is asked for here."""
    _, out = adapted
    config = drive.config("strict", margins=Margins(gain=200), steps=1, rounds=1)
    outcome = Adaptation(begun(out, config)).run()
    assert not outcome.better and all(outcome.why_not.values())
    assert not (config.out / "weights.safetensors").exists()
    assert "The old weights stay" in (config.out / "report.html").read_text()


def test_pictures_and_figures_are_of_the_same_weights(monkeypatch, tmp_path):
    """Where the old weights stay, the report shows those that were tried last."""
    (tmp_path / "teachers.json").write_text("{}")
    model = tmp_path / "model"
    model.touch()
    rejected = changed(agreement={"rgb+lidar": 10.0})
    work = SimpleNamespace(
        config=AdaptationConfig((Path("bag"),), tmp_path),
        judged=lambda: {BEFORE: OLD, "round 1": rejected},
        drive=SimpleNamespace(notes=(), bags=()),
        header=SimpleNamespace(metadata=SimpleNamespace(training={})),
        file_of=Path,
        _segmenter=str,
        **{"rank": 0, "model": model, "weights": tmp_path / "new", "_held": tmp_path},
    )
    shown = []
    monkeypatch.setattr(run, "CachedDataset", Path)
    monkeypatch.setattr(run, "write_report", lambda *given: shown.append(given[3]))
    assert Adaptation._conclude(work, 1).after is rejected
    assert shown == [(BEFORE, "round 1")]


def test_what_ctrl_c_keeps_is_told(monkeypatch, tmp_path):
    """With the steps that were made, not those that were planned."""
    concluded, said = [], []

    def interrupted(*given):
        raise KeyboardInterrupt

    def conclude(steps: int, partial: bool) -> Outcome:
        concluded.append((steps, partial))
        return Outcome("round 1", {BEFORE: OLD, "round 1": changed()}, {})

    work = SimpleNamespace(
        config=AdaptationConfig((Path("bag"),), tmp_path),
        judged=lambda: {BEFORE: OLD},
        report=said.append,
        **{"header": None, "model": None, "streets": None, "weights": tmp_path / "new"},
        **{"_lessons": str, "_steps": lambda first: 30, "_rounds": interrupted, "_blend": None},
        **{"_processes": 1, "_trained": 7, "_conclude": conclude},
    )
    monkeypatch.setattr(run, "round_config", lambda *given: None)
    with pytest.raises(KeyboardInterrupt):
        Adaptation._train(work)
    assert concluded == [(7, True)]
    assert said == [f"best so far: round 1: {tmp_path / 'new'}; see {tmp_path / 'report.html'}"]


def small_weights(folder: Path, taxonomy: str = "deliver") -> Path:
    classes = len(get(taxonomy))
    network = Any2Seg(NetworkConfig(width=32, classes=classes))
    path = folder / f"{taxonomy}.safetensors"
    checkpoints.save(path, network, checkpoints.Metadata(taxonomy, (96, 64)))
    return path


def test_bags_that_have_changed_are_not_gone_on_with(tmp_path):
    """Their lessons would be of other frames than the bags that the weights name."""
    bag = tiny_drive.write(tmp_path / "drive")
    config = AdaptationConfig((bag,), tmp_path / "out", str(small_weights(tmp_path)))
    names = [Adaptation(config).open_drive().cached.names for _ in range(2)]
    assert names[0] == names[1]
    shutil.rmtree(bag)
    tiny_drive.write(bag, tiny_drive.rows(8))
    with pytest.raises(ValueError, match="have changed since .* give another --out"):
        Adaptation(config).open_drive()


def test_what_cannot_be_is_refused_before_anything_is_read(monkeypatch, tmp_path):
    config = AdaptationConfig((Path("bag"),), tmp_path / "out", str(small_weights(tmp_path)))
    others = replace(config, model=str(small_weights(tmp_path, "cityscapes")))
    with pytest.raises(ValueError, match="has the classes of cityscapes"):
        Adaptation(others)
    with pytest.raises(ValueError, match="has no adapters: use --scope all"):
        Adaptation(replace(config, scope="adapters"))
    with pytest.raises(FileNotFoundError, match="no split 'train'"):
        Adaptation(replace(config, streets=tmp_path))
    monkeypatch.setattr(run.distributed, "start", lambda: (0, 3))
    with pytest.raises(ValueError, match="3 processes cannot share the 8 frames"):
        Adaptation(config)
    assert not config.out.exists()


def test_a_folder_of_another_adaptation_is_refused_with_what_differs(drive, tmp_path):
    config = drive.config("mine", margins=LENIENT)
    Adaptation(config)
    other = tmp_path / "other.safetensors"
    network, metadata = checkpoints.load(drive.weights)
    checkpoints.save(other, network, replace(metadata, temperatures={}))
    for changes in ({"seed": 1}, {"margins": Margins()}, {"model": str(other)}):
        (key,) = changes
        with pytest.raises(ValueError, match=f"another '{key}'"):
            Adaptation(replace(config, **changes))


def test_neither_the_folder_nor_the_device_makes_another_adaptation(drive, tmp_path):
    config = drive.config("here", margins=LENIENT)
    Adaptation(config)
    shutil.copytree(config.out, tmp_path / "there")
    Adaptation(replace(config, out=tmp_path / "there", device="auto"))
