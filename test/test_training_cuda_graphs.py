"""Encoders recorded as CUDA graphs."""

from __future__ import annotations

import pytest
import torch
from training_run import write_data, written

from any2seg_ros.training.config import load_config
from any2seg_ros.training.trainer import Trainer

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("training"))


@NEEDS_CUDA
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("frozen", [0, 2])
def test_recorded_encoders_learn_what_plain_ones_do(place, shared, frozen):
    changes = {"device": "cuda", "steps": 1, "validate_every": 1, "frozen_stages": frozen}
    changes["network"] = {"shared_encoder": shared, "adapters": not shared}
    learned = {}
    for name, graphs in (("recorded", True), ("plain", False)):
        output = f"{name}_{shared}_{frozen}"
        trainer = Trainer(load_config(written(place, output, cuda_graphs=graphs, **changes)))
        used = [counted(encoder.forward) for encoder in trainer.network.encoders if graphs]
        trainer.run()
        assert all(used)
        parameters = [p for p in trainer.network.encoder.parameters() if p.requires_grad]
        state = trainer.optimizer.state
        gradients = torch.cat([state[p]["exp_avg"].flatten() for p in parameters])
        learned[name] = gradients, dict(trainer.network.encoder.named_buffers())
    mine, reference = learned["recorded"][0], learned["plain"][0]
    assert (mine - reference).norm() <= 0.2 * reference.norm()
    for name, statistics in learned["plain"][1].items():
        torch.testing.assert_close(learned["recorded"][1][name], statistics, rtol=2e-2, atol=1e-2)


def counted(either) -> list[int]:
    """Counts in the list the uses of a recorded pass."""
    used, recorded = [], either._recorded
    either._recorded = lambda images: used.append(len(images)) or recorded(images)
    return used
