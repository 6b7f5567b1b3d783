"""What a run starts from, and what of it is trained."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from training_run import write_data, written

from any2seg_ros.files import checksum
from any2seg_ros.network import Any2Seg, NetworkConfig, checkpoints
from any2seg_ros.training.config import TrainingConfig, load_config
from any2seg_ros.training.initialization import build, frozen_parts, train_mode
from any2seg_ros.training.optimizer import make_optimizer
from any2seg_ros.training.trainer import Trainer


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def whole(place):
    """A run in one go."""
    Trainer(load_config(written(place, "whole"))).run()
    return place / "whole"


def test_weights_to_start_from_are_averaged_with_a_share_of_others(place, whole):
    one = checkpoints.load(whole / "weights.safetensors")[0]
    other, metadata = checkpoints.load(whole / "weights.safetensors")
    with torch.no_grad():
        other.decoder.classifier.weight.add_(1)
    path = place / "blend.safetensors"
    checkpoints.save(path, other, metadata)
    start = {"init_from": str(whole / "weights.safetensors"), "blend": str(path)}
    trainer = Trainer(load_config(written(place, "blended", **start)))
    moved = trainer.network.decoder.classifier.weight - one.decoder.classifier.weight
    torch.testing.assert_close(moved, torch.full_like(moved, 0.25))
    told = json.loads((place / "blended" / "run.json").read_text())["files"]
    assert told[str(path)] == checksum(path)
    with pytest.raises(ValueError, match="blend needs an Any2Seg checkpoint as init_from"):
        Trainer(load_config(written(place, "alone", blend=str(path))))


def test_adapters_alone_are_trained_where_nothing_else_shall_be(place):
    network = {"shared_encoder": False, "adapters": True}
    trainer = Trainer(load_config(written(place, "only", network=network, trainable="adapters")))
    before = {n: t.clone() for n, t in trainer.network.state_dict().items()}
    trainer.run(stop_at=2)
    changed = {n for n, t in trainer.network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {f"adapters.matrices.{scale}" for scale in range(4)}
    learned, averaged = trainer.network.state_dict(), trainer.average.state_dict()
    for name in changed:
        assert (averaged[name] - before[name]).abs().max() > 0
        assert (averaged[name] - learned[name]).abs().max() > 0


def test_frozen_sensors_and_the_decoder_stay_bit_by_bit(place):
    """Nor does weight decay touch the adapters of frozen sensors, which share their tensors."""
    network = {"shared_encoder": False, "adapters": True}
    told = {"network": network, "trainable": "encoders", "frozen_sensors": ["rgb", "event"]}
    trainer = Trainer(load_config(written(place, "some", **told)))
    with torch.no_grad():
        for matrices in trainer.network.adapters.matrices:
            matrices.normal_(std=0.1)
    trainer = Trainer(load_config(written(place, "kept", **told, init_from=saved(place, trainer))))
    before = {n: t.clone() for n, t in trainer.network.state_dict().items()}
    trainer.run(stop_at=3)
    for network in (trainer.network, trainer.average):
        after = network.state_dict()
        changed = {n for n, t in after.items() if not torch.equal(t, before[n])}
        assert {n.split(".")[1] for n in changed if "encoder" in n} == {"1", "2"}
        assert {n.split(".")[0] for n in changed} == {"encoder", "adapters"}
        for name in (n for n in changed if "adapters" in n):
            stays = [bool(torch.equal(after[name][:, m], before[name][:, m])) for m in range(4)]
            assert stays == [True, False, False, True]


def saved(place: Path, trainer: Trainer) -> str:
    """The network of a trainer as a file."""
    path = place / "saved.safetensors"
    checkpoints.save(path, trainer.network, trainer.segmenter().metadata)
    return str(path)


def test_sensors_that_share_an_encoder_cannot_be_frozen(place, whole):
    with pytest.raises(ValueError, match="frozen_sensors needs network.shared_encoder: false"):
        TrainingConfig(frozen_sensors=("rgb",))
    weights = str(whole / "weights.safetensors")
    told = TrainingConfig(frozen_sensors=("rgb",), init_from=weights)
    with pytest.raises(ValueError, match="frozen_sensors needs network.shared_encoder: false"):
        build(told, 25)


def test_what_is_frozen_is_asked_of_the_network_that_a_run_begins_with(place):
    told = {"shared_encoder": False, "adapters": True}
    trainer = Trainer(load_config(written(place, "apart", network=told)))
    network = build(TrainingConfig(frozen_sensors=("rgb",), init_from=saved(place, trainer)), 25)
    assert not any(p.requires_grad for p in network.encoders[0].parameters())
    assert all(p.requires_grad for p in network.decoder.parameters())


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("init_from", {"init_from": "gone.safetensors", "blend": "gone_too.safetensors"}),
        ("losses.teacher", {"losses": {"teacher": "gone.safetensors"}}),
        ("losses.text_teacher", {"losses": {"intra_modal": 1.0, "text_teacher": "gone"}}),
        ("losses.image_teacher", {"losses": {"inter_modal": 1.0, "image_teacher": "gone"}}),
        (
            "losses.captions",
            {"losses": {"inter_modal": 1.0, "image_teacher": ".", "captions": "gone.json"}},
        ),
    ],
)
def test_a_missing_file_is_told_before_data_are_opened(place, key, changes):
    changes = {"data": {"val": str(place / "nowhere")}, **changes}
    with pytest.raises(FileNotFoundError, match=f"^{key}: there is nothing at gone"):
        Trainer(load_config(written(place, "lacking", **changes)))


def test_weights_to_start_from_of_another_network_name_what_differs(place, whole):
    start = {"init_from": str(whole / "weights.safetensors"), "network": {"width": 8, "refine": 2}}
    with pytest.raises(ValueError, match="its network.width is 16, not 8; change"):
        Trainer(load_config(written(place, "unlike", **start)))


def test_blocks_that_refine_are_added_to_and_left_out_of_weights_to_start_from(place):
    weights = {}
    for name, refine, initial in (
        ("refine2", 2, ""),
        ("refine1", 1, "refine2"),
        ("refine3", 3, "refine1"),
    ):
        start = str(place / initial / "weights.safetensors") if initial else ""
        network = {"width": 16, "dropout": 0.0, "refine": refine}
        path = written(place, name, steps=1, validate_every=1, init_from=start, network=network)
        weights[name] = checkpoints.load(Trainer(load_config(path)).run())[0]
        assert len(weights[name].decoder.refine) == refine
    near = weights["refine2"].decoder.fuse.weight
    for name in ("refine1", "refine3"):
        torch.testing.assert_close(weights[name].decoder.fuse.weight, near, atol=1e-3, rtol=0)


@pytest.fixture(scope="module")
def network() -> Any2Seg:
    return Any2Seg(NetworkConfig(width=8, shared_encoder=False, adapters=True))


def test_what_is_frozen_is_not_optimized_and_keeps_its_statistics(network):
    network = copy.deepcopy(network)
    config = TrainingConfig(frozen_stages=2, network=network.config)
    parts = frozen_parts(network, config)
    assert parts == [p for e in network.encoders for p in (e.stem, e.stages[0], e.stages[1])]
    train_mode(network, config)
    assert not any(part.training for part in parts) and network.encoders[0].stages[2].training
    for part in parts:
        part.requires_grad_(False)
    optimizer = make_optimizer(network, config.optimizer)
    learning = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert not learning & {id(p) for part in parts for p in part.parameters()}
    adapters = TrainingConfig(trainable="adapters", network=network.config)
    assert frozen_parts(network, adapters) == [network.encoder, network.decoder]
    encoders = TrainingConfig(
        trainable="encoders", frozen_sensors=("lidar",), frozen_stages=0, network=network.config
    )
    assert frozen_parts(network, encoders) == [network.encoders[2], network.decoder]
    assert frozen_parts(network, TrainingConfig(frozen_stages=0, network=network.config)) == []
    mit = Any2Seg(NetworkConfig("mit_b0", width=8))
    assert frozen_parts(mit, TrainingConfig(frozen_stages=2, network=mit.config)) == []


def test_norms_that_are_frozen_keep_their_statistics(network):
    network = copy.deepcopy(network)
    train_mode(network, TrainingConfig(frozen_norms=True, network=network.config))
    before = {n: b.clone() for n, b in network.named_buffers()}
    network.encoders[0](torch.randn(2, 3, 32, 32))
    assert all(torch.equal(b, before[n]) for n, b in network.named_buffers())
    assert network.training and network.decoder.training
    train_mode(network, TrainingConfig(frozen_stages=0, network=network.config))
    network.encoders[0](torch.randn(2, 3, 32, 32))
    assert any(not torch.equal(b, before[n]) for n, b in network.named_buffers())


def test_a_recipe_that_says_nothing_of_the_network_goes_on_with_that_of_the_weights(place):
    shape = NetworkConfig(classes=25, width=24, refine=1, shared_encoder=False, adapters=True)
    path = place / "shaped.safetensors"
    checkpoints.save(path, Any2Seg(shape), checkpoints.Metadata())
    network = build(TrainingConfig(init_from=str(path)), 25)
    assert network.config == shape
    with pytest.raises(ValueError, match="network.width"):
        build(TrainingConfig(init_from=str(path), network=NetworkConfig(width=32)), 25)


def test_weights_of_the_package_are_named(place):
    network = build(TrainingConfig(init_from="streets"), 25)
    assert network.config.adapters and network.config.width == 128
