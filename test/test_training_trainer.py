"""Training runs: they learn, go on after a kill, and are the same in one process or two."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from training_run import losses, rows, write_data, written

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.files import checksum
from any2seg_ros.interrupts import deferred_interrupt
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.network.modality_groups import ALL, ONE, SEVERAL
from any2seg_ros.training import trainer as trainer_module
from any2seg_ros.training.cached_dataset import CachedSource, relabelled
from any2seg_ros.training.config import TrainingConfig, load_config
from any2seg_ros.training.trainer import Trainer
from any2seg_ros.types import Modality

SOURCE = Path(__file__).resolve().parents[1]
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def whole(place):
    """A run in one go."""
    Trainer(load_config(written(place, "whole"))).run()
    return place / "whole"


def test_a_run_leaves_config_revision_seed_metrics_and_weights(place, whole):
    about = json.loads((whole / "run.json").read_text())
    assert about["config"]["steps"] == 6 and about["seed"] == 0 and about["revision"]
    told = rows(place, "whole")
    assert [row["step"] for row in told if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert set(told[-1]["miou"]) == {"rgb+depth+lidar+event", "rgb", "depth", "lidar", "event"}
    segmenter = Segmenter.open(EngineConfig(str(whole / "weights.safetensors"), engine="torch"))
    assert segmenter.size == (64, 32) and segmenter.taxonomy.name == "deliver"
    assert len(segmenter.metadata.temperatures) == 15
    assert segmenter.metadata.training["step"] == 6


def test_a_cached_data_set_is_trained_on_as_it_is(place, whole):
    """With other labels and no frame of a half: only what is present is seen."""
    cached = Trainer(load_config(written(place, "whole"))).mixture.sets[0]
    present = cached.present & (np.arange(len(cached)) % 2 == 0)[:, None]
    sky = np.full(cached.labels.shape[-2:], 12, np.uint8)
    labels = ((sky, np.full_like(sky, 200)) for _ in range(len(cached)))
    folder = place / "relabelled"
    relabelled(cached, folder, [[k] for k in range(25)], present, labels)
    data = {"train": [str(folder)], "val": str(place / "data"), "cache": str(place / "cache")}
    trainer = Trainer(load_config(written(place, "again", data=data)))
    batch = trainer.batches.at(0)
    names = {cached.names[i] for i in range(0, len(cached), 2)}
    assert set(batch.names) <= names
    assert (batch.labels == 12).all() and (batch.weights == 200).all()
    fingerprint = CachedSource(folder, trainer.taxonomy).fingerprint
    with pytest.raises(ValueError, match="cached already"):
        CachedSource(folder, trainer.taxonomy).samples(0, 1)
    (folder / "labels.u8").write_bytes(bytes(cached.labels.size))
    assert CachedSource(folder, trainer.taxonomy).fingerprint != fingerprint


def test_a_run_that_was_killed_goes_on_to_the_same_result(place, whole):
    path = written(place, "killed")
    script = (
        "import os, signal, sys; from any2seg_ros.training.config import load_config;"
        "from any2seg_ros.training.trainer import Trainer;"
        "kill = lambda step, loss: step == 5 and os.kill(os.getpid(), signal.SIGKILL);"
        "Trainer(load_config(sys.argv[1])).run(progress=kill)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], cwd=SOURCE, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    (place / "killed" / "metrics.jsonl").open("a").write('{"step": 5, "lo')
    Trainer(load_config(path)).run()
    assert losses(place, "killed") == losses(place, "whole")
    mine = torch.load(place / "killed" / "state.pt", weights_only=True)
    reference = torch.load(whole / "state.pt", weights_only=True)
    for part in ("network", "average"):
        for name, tensor in reference[part].items():
            assert torch.equal(mine[part][name], tensor), name


@pytest.fixture
def heeded():
    """Ctrl-C is not ignored, as it is in what a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_waits_for_the_step_and_loses_nothing(place):
    changes = {"network": {"dropout": 0.3}, "steps": 4, "validate_every": 4}
    Trainer(load_config(written(place, "at_once", **changes))).run()
    path = written(place, "interrupted", checkpoint_every=100, **changes)
    told = []

    def press(step: int, loss: float) -> None:
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Trainer(load_config(path), told.append).run(progress=press)
    assert told[-1] == "interrupted: the same command resumes after step 3"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    again = Trainer(load_config(path))
    assert again.step == 3
    again.run()
    assert losses(place, "interrupted") == losses(place, "at_once")
    mine, reference = (
        torch.load(place / name / "state.pt", weights_only=True)
        for name in ("interrupted", "at_once")
    )
    for part in ("network", "average"):
        for name, tensor in reference[part].items():
            assert torch.equal(mine[part][name], tensor), name


@pytest.mark.usefixtures("heeded")
def test_a_second_ctrl_c_ends_at_once():
    with pytest.raises(KeyboardInterrupt), deferred_interrupt() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("the second one was swallowed")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@NEEDS_CUDA
@pytest.mark.parametrize("amp", ["none", "f16", "bf16"])
def test_a_gpu_learns_from_a_teacher_and_goes_on(place, whole, amp):
    teacher = str(whole / "weights.safetensors")
    changes = {"amp": amp, "device": "cuda", "losses": {"teacher": teacher}, "init_from": teacher}
    path = written(place, f"gpu_{amp}", **changes)
    Trainer(load_config(path)).run(stop_at=4)
    again = Trainer(load_config(path))
    assert again.step == 4
    assert again.run()
    assert np.isfinite(losses(place, f"gpu_{amp}")).all()


@NEEDS_CUDA
def test_two_processes_may_share_a_gpu(place):
    run_two_processes(written(place, "gpu_two", device="cuda", steps=2, validate_every=2))


def test_two_processes_learn_as_one_with_the_doubled_batch(place, whole):
    run_two_processes(written(place, "two"))
    np.testing.assert_allclose(losses(place, "two"), losses(place, "whole"), rtol=2e-3)
    mine, reference = moments(place, "two"), moments(place, "whole")
    assert (mine - reference).norm() <= 0.6 * reference.norm()  # norms of few pixels: chaotic


def test_two_processes_learn_as_one_with_an_encoder_for_each_modality(place):
    own = {"network": {"shared_encoder": False, "adapters": True}, "steps": 3, "validate_every": 3}
    run_two_processes(written(place, "own_two", **own))
    Trainer(load_config(written(place, "own_alone", **own))).run()
    np.testing.assert_allclose(losses(place, "own_two"), losses(place, "own_alone"), rtol=2e-3)


def test_groups_that_are_not_trained_yet_have_the_adapters_of_the_full_set(place):
    own = {"network": {"shared_encoder": False, "adapters": True}, "losses": {"subsets_from": 4}}
    trainer = Trainer(load_config(written(place, "groups", **own)))
    matrices = trainer.network.adapters.matrices[0]
    trainer.run(stop_at=4)
    assert matrices[ALL].abs().max() > 0
    assert all(torch.equal(matrices[group], matrices[ALL]) for group in (ONE, SEVERAL))
    trainer.run()
    assert not torch.equal(matrices[ONE], matrices[ALL])


OWN = {"shared_encoder": False, "adapters": True}


def test_where_most_frames_lack_a_sensor_their_group_is_followed(place):
    changes = {"network": OWN, "losses": {"variants": ["full"]}, "steps": 3, "validate_every": 3}
    trainer = Trainer(load_config(written(place, "three", **changes)))
    for placed in trainer._sets:
        placed.present[1:, Modality.LIDAR] = False
    trainer.run(stop_at=3)
    matrices = trainer.network.adapters.matrices[0]
    assert matrices[SEVERAL, Modality.DEPTH].abs().max() > 0
    assert torch.equal(matrices[ONE], matrices[SEVERAL])
    assert not torch.equal(matrices[ALL], matrices[SEVERAL])


def test_adapters_that_were_trained_apart_are_not_overwritten(place):
    start = str(place / "apart.safetensors")
    first = Trainer(load_config(written(place, "first", network=OWN)))
    with torch.no_grad():
        first.average.adapters.matrices[0][ONE] += 0.1
    checkpoints.save(Path(start), first.average, first._metadata({}))
    changes = {"network": OWN, "losses": {"variants": ["full"]}, "init_from": start}
    trainer = Trainer(load_config(written(place, "second", **changes)))
    trainer.run(stop_at=2)
    torch.testing.assert_close(
        trainer.network.adapters.matrices[0][ONE],
        first.average.adapters.matrices[0][ONE],
        atol=1e-5,
        rtol=0,
    )


def run_two_processes(path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--standalone", "-m", "any2seg_ros.training", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, cwd=SOURCE, env=environment, timeout=200, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def moments(place: Path, output: str) -> torch.Tensor:
    """The averaged gradients of all of a run's parameters."""
    state = torch.load(place / output / "state.pt", weights_only=True)["optimizer"]["state"]
    return torch.cat([row["exp_avg"].flatten() for _, row in sorted(state.items())])


def test_two_processes_learn_in_bfloat16(place):
    run_two_processes(written(place, "half", amp="bf16", steps=2, validate_every=2))
    Trainer(load_config(written(place, "half_alone", amp="bf16", steps=2, validate_every=2))).run()
    np.testing.assert_allclose(losses(place, "half"), losses(place, "half_alone"), rtol=0.02)


def test_a_run_that_was_begun_before_a_key_existed_goes_on(place, whole):
    shutil.copytree(whole, place / "older")
    about = json.loads((whole / "run.json").read_text())
    about["config"]["output"] = str(place / "older")
    del about["config"]["losses"]["variant_shares"]
    (place / "older" / "run.json").write_text(json.dumps(about))
    assert Trainer(load_config(written(place, "older"))).step == 6


def test_a_start_that_fails_leaves_nothing_that_refuses_the_mended_one(place):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Trainer(load_config(written(place, "mended", data={"val": str(place / "nowhere")})))
    assert not (place / "mended").exists()
    assert Trainer(load_config(written(place, "mended"))).step == 0


def test_a_run_that_is_stopped_keeps_all_its_steps(place):
    path = written(place, "stopped")
    assert Trainer(load_config(path)).run(stop_at=3) is None
    assert Trainer(load_config(path)).step == 3


def test_a_damaged_state_is_one_clear_message(place, whole):
    shutil.copytree(whole, place / "damaged")
    about = json.loads((whole / "run.json").read_text())
    about["config"]["output"] = str(place / "damaged")
    (place / "damaged" / "run.json").write_text(json.dumps(about))
    state = place / "damaged" / "state.pt"
    state.write_bytes(state.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"state\.pt is damaged: delete"):
        Trainer(load_config(written(place, "damaged")))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("scaler"),
        lambda state: state["network"].popitem(),
        lambda state: state.update(optimizer=7),
    ],
)
def test_a_state_of_another_version_is_one_clear_message(place, whole, change):
    folder = place / "versions"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    about = json.loads((whole / "run.json").read_text())
    about["config"]["output"] = str(folder)
    (folder / "run.json").write_text(json.dumps(about))
    state = torch.load(folder / "state.pt", weights_only=True)
    change(state)
    torch.save(state, folder / "state.pt")
    with pytest.raises(
        ValueError, match=r"^\S+state\.pt is of another version.*delete \S+versions to start over"
    ):
        Trainer(load_config(written(place, "versions")))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_learns_the_same(place):
    """The decoder alone: the encoders, frozen here, would take minutes."""
    told = {
        "network": {"shared_encoder": False},
        "frozen_sensors": ["rgb", "depth", "lidar", "event"],
        "steps": 3,
    }
    compiled = Trainer(load_config(written(place, "compiled", **told, compile=True)))
    parts = [*compiled.network.encoders, compiled.network.decoder]
    assert [part._compiled_call_impl is not None for part in parts] == [False] * 4 + [True]
    compiled.run()
    Trainer(load_config(written(place, "plain", **told))).run()
    assert losses(place, "compiled") == pytest.approx(losses(place, "plain"), rel=1e-4)
    with_weights = [place / name / "weights.safetensors" for name in ("compiled", "plain")]
    mine, theirs = (checkpoints.load(path)[0].state_dict() for path in with_weights)
    assert mine.keys() == theirs.keys()


@pytest.mark.parametrize("amp", ["bf16", "none"])
def test_what_a_gpu_cannot_record_is_compiled(monkeypatch, amp):
    """Under amp no encoder is recorded."""
    encoder, decoder = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)
    monkeypatch.setattr(trainer_module, "record", lambda network, batch: None)
    monkeypatch.setattr(trainer_module, "train_mode", lambda network, config: None)
    work = SimpleNamespace(
        config=TrainingConfig(amp=amp, compile=True, cuda_graphs=True),
        processes=1,
        device=torch.device("cuda"),
        network=SimpleNamespace(encoders=[encoder], decoder=decoder),
        objective=SimpleNamespace(teacher=None),
    )
    Trainer._compile(work, Trainer._record(work))
    compiled = [part._compiled_call_impl is not None for part in (encoder, decoder)]
    assert compiled == [amp == "bf16", True]


def test_gradients_are_clipped(place):
    def moved(clip: float) -> float:
        changes = {"steps": 1, "validate_every": 1, "optimizer": {"grad_clip_norm": clip}}
        trainer = Trainer(load_config(written(place, f"clip_{clip}", **changes)))
        trainer.run()
        state = trainer.optimizer.state.values()
        return float(torch.cat([row["exp_avg"].flatten() for row in state]).norm())

    assert moved(0.01) == pytest.approx(0.1 * 0.01, rel=1e-3)  # beta of AdamW: 0.9
    assert moved(0.0) > 0.01


def test_a_loss_that_is_no_number_ends_the_run(place):
    trainer = Trainer(load_config(written(place, "infinite")))
    with torch.no_grad():
        trainer.network.decoder.classifier.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="the loss is nan at step 1: lower optimizer.lr"):
        trainer.run()


def test_it_learns(place):
    changes = {"steps": 25, "validate_every": 25, "checkpoint_every": 25, "init_from": "imagenet"}
    path = written(place, "learns", **changes, optimizer={"lr": 2e-3}, losses={"intra_modal": 0.1})
    trainer = Trainer(load_config(path))
    assert trainer.objective.class_weights.std() > 0
    trainer.run()
    curve = losses(place, "learns")
    assert np.mean(curve[-3:]) < 0.85 * np.mean(curve[:3])
    assert rows(place, "learns")[0]["intra_modal"] > 0


def test_another_configuration_in_the_same_folder_is_refused(place, whole):
    config = dataclasses.replace(load_config(place / "whole.yaml"), seed=9)
    with pytest.raises(ValueError, match="another 'seed'"):
        Trainer(config)


def test_a_run_that_is_done_stays_as_it_is(place, whole):
    before = (whole / "weights.safetensors").read_bytes()
    Trainer(load_config(place / "whole.yaml")).run()
    assert (whole / "weights.safetensors").read_bytes() == before


def test_a_frozen_teacher_teaches_every_variant_and_stays_as_it_is(place, whole):
    weights = str(whole / "weights.safetensors")
    told = {"losses": {"teacher": weights}, "init_from": weights}
    pupil = Trainer(load_config(written(place, "pupil", **told)))
    batch = pupil.batches.at(0)
    pupil.network.eval()
    everything = batch.present.expand_as(batch.subsets)
    alike = dataclasses.replace(batch, subsets=everything)
    none = pupil.objective.losses(pupil.network, alike)["distillation"][0]
    some = pupil.objective.losses(pupil.network, batch)["distillation"][0]
    assert float(some) > 20 * abs(float(none)), (none, some)
    with torch.no_grad():
        pupil.network.decoder.classifier.weight.mul_(2)
    apart = pupil.objective.losses(pupil.network, batch)["distillation"][0]
    assert float(apart) > 1
    apart.backward()
    assert pupil.network.decoder.classifier.weight.grad.abs().sum() > 0
    before = {n: t.clone() for n, t in pupil.objective.teacher.state_dict().items()}
    pupil.run()
    assert all(torch.equal(before[n], t) for n, t in pupil.objective.teacher.state_dict().items())
    assert all(row["distillation"] > 0 for row in rows(place, "pupil") if "loss" in row)


def test_a_run_does_not_go_on_with_another_teacher_of_the_same_name(place, whole):
    teacher = place / "teacher.safetensors"
    shutil.copy(whole / "weights.safetensors", teacher)
    path = written(place, "taught", losses={"teacher": str(teacher)})
    trainer = Trainer(load_config(path))
    trainer.run(stop_at=2)
    told = json.loads((place / "taught" / "run.json").read_text())["files"]
    assert told == {str(teacher): checksum(teacher)}
    assert Trainer(load_config(path)).step == 2
    network, metadata = checkpoints.load(teacher)
    checkpoints.save(teacher, network, dataclasses.replace(metadata, training={}))
    with pytest.raises(ValueError, match=r"teacher\.safetensors has changed since"):
        Trainer(load_config(path))


def test_a_folder_of_weights_is_known_by_its_file(place):
    torch.manual_seed(0)
    folder = place / "mit-b0"
    folder.mkdir()
    save_file(Any2Seg(NetworkConfig("mit_b0")).encoder.state_dict(), folder / "model.safetensors")
    network = {"encoder": "mit_b0"}
    path = written(place, "folder", init_from=str(folder), network=network, steps=1)
    said = []
    Trainer(load_config(path), said.append)
    assert f"{folder} has no decoder of network.width 16: the decoder starts" in said[-1]
    told = json.loads((place / "folder" / "run.json").read_text())["files"]
    assert told == {str(folder / "model.safetensors"): checksum(folder / "model.safetensors")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"amp": "f16"}, "f16 needs CUDA"),
        ({"network": {"classes": 19}}, "network.classes is 19, but the data have 25"),
    ],
)
def test_what_cannot_be_done_here_is_refused(place, changes, words):
    with pytest.raises(ValueError, match=words):
        Trainer(load_config(written(place, "refused", **changes)))


def test_a_teacher_of_other_modality_images_is_refused(place, whole):
    words = {"losses": {"teacher": str(whole / "weights.safetensors")}}
    other = {"preprocessing": {"range_far": 50.0}, "data": {"cache": str(place / "other_cache")}}
    with pytest.raises(
        ValueError, match=r"another 'range_far': set preprocessing\.range_far to 100"
    ):
        Trainer(load_config(written(place, "wrong_preprocessing", **words, **other)))


def test_a_teacher_of_other_classes_is_refused(place, whole):
    network, metadata = checkpoints.load(whole / "weights.safetensors")
    path = place / "other.safetensors"
    checkpoints.save(path, network, dataclasses.replace(metadata, taxonomy="cityscapes"))
    with pytest.raises(ValueError, match=r"other\.safetensors has the classes of cityscapes"):
        Trainer(load_config(written(place, "wrong_teacher", losses={"teacher": str(path)})))
