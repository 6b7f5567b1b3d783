"""Encoder and decoder as modules of their own compute what the network does."""

from __future__ import annotations

import pytest
import torch

from any2seg_ros.engine.graphs import DecoderGraph, EncoderGraph, mixed, presence
from any2seg_ros.engine.torch_threads import one_thread
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network import adapters as network_adapters
from any2seg_ros.network.modality_groups import group_of
from any2seg_ros.types import Modality

pytestmark = pytest.mark.filterwarnings("ignore")
EVERYONE = tuple(Modality)
SUBSETS = (EVERYONE[2:3], (Modality.RGB, Modality.EVENT), EVERYONE[1:], EVERYONE)


@pytest.fixture(scope="module", params=[False, True], ids=["without", "adapters"])
def network(request):
    torch.manual_seed(0)
    network = Any2Seg(NetworkConfig(width=8, shared_encoder=False, adapters=request.param))
    for matrices in network.adapters.matrices if request.param else ():
        torch.nn.init.normal_(matrices, std=0.1)
    return network.folded()


@pytest.fixture(scope="module", autouse=True)
def threads():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def images():
    return torch.rand(4, 3, 32, 64, generator=torch.Generator().manual_seed(0))


def encoded(network, images):
    each = [EncoderGraph(network, m)(images[m : m + 1]) for m in EVERYONE]
    return [torch.cat(scale) for scale in zip(*each, strict=True)]


def matrices_of(network, subset):
    if network.adapters is None:
        return []
    return network.adapters.mixing(group_of(len(subset)))


@torch.no_grad()
def test_one_graph_that_is_told_what_is_present_serves_all_subsets(network, images):
    features = encoded(network, images)
    graph = DecoderGraph(network, 4, None)
    for subset in SUBSETS:
        present = torch.tensor([[m in subset for m in EVERYONE]])
        kept = [scale * present[0, :, None, None, None] for scale in features]
        logits, weights = graph(*kept, *matrices_of(network, subset), present)
        expected, expected_weights = network(images[list(subset)], subset)
        torch.testing.assert_close(logits[0], expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(weights[0, list(subset)], expected_weights)
        assert not weights[present.logical_not()].any()


@torch.no_grad()
def test_choices_are_segmented_each_on_its_own(network, images):
    features = encoded(network, images)
    choices = ((0, 1), (1, 2, 3))
    matrices = matrices_of(network, (0, 1))
    logits, weights = DecoderGraph(network, 4, choices)(*features, *matrices)
    for one, row, chosen in zip(logits, weights, choices, strict=True):
        subset = tuple(Modality(m) for m in chosen)
        expected, expected_weights = network(images[list(subset)], subset)
        torch.testing.assert_close(one, expected, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(row[list(subset)], expected_weights)


def test_products_of_matrices_mix_as_the_networks_convolutions_do():
    generator = torch.Generator().manual_seed(0)
    features = [torch.rand(3, c, 4, 6, generator=generator) for c in (2, 5)]
    matrices = [torch.rand(3, c, c, generator=generator) for c in (2, 5)]
    expected = network_adapters.mixed([f[None] for f in features], matrices)
    for mine, theirs in zip(mixed(features, matrices), expected, strict=True):
        torch.testing.assert_close(mine[None], theirs)


def test_what_all_are_chosen_of_needs_no_presence():
    assert presence(3, ((0, 1, 2),)) is None
    assert presence(3, ((0, 2), (1,))).tolist() == [[True, False, True], [False, True, False]]
