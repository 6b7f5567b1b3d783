"""Graphs on disk: read back, mended, and never in the way."""

from __future__ import annotations

import os
import time

import numpy as np
import openvino as ov
import pytest
import torch

from any2seg_ros.engine import graph_cache
from any2seg_ros.engine.graph_cache import UNUSED, GraphCache
from any2seg_ros.engine.openvino_engine import convert
from any2seg_ros.network import Any2Seg, NetworkConfig

SHAPES = [(1, 3, 8, 8)]


class Maker:
    """Makes a small graph and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> ov.Model:
        self.count += 1
        torch.manual_seed(0)
        return convert(torch.nn.Conv2d(3, 2, 1), SHAPES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Any2Seg(NetworkConfig(width=8))


def result(graph: ov.Model) -> np.ndarray:
    image = np.arange(192, dtype=np.float32).reshape(SHAPES[0]) / 192
    return next(iter(ov.compile_model(graph, "CPU")([image]).values()))


def test_a_graph_is_made_once_and_read_back_the_same(folder, network):
    make = Maker()
    first = result(GraphCache(network).model("encoder", SHAPES, make))
    again = result(GraphCache(network).model("encoder", SHAPES, make))
    assert make.count == 1
    np.testing.assert_array_equal(first, again)


def test_a_damaged_graph_is_made_again(folder, network):
    make = Maker()
    GraphCache(network).model("encoder", SHAPES, make)
    next(folder.rglob("graph.xml")).write_text("<net")
    assert result(GraphCache(network).model("encoder", SHAPES, make)).shape == (1, 2, 8, 8)
    GraphCache(network).model("encoder", SHAPES, make)
    assert make.count == 2


def test_other_weights_shapes_and_halves_have_graphs_of_their_own(folder, network):
    make = Maker()
    GraphCache(network).model("encoder", SHAPES, make)
    GraphCache(network).model("decoder", SHAPES, make)
    GraphCache(network).model("encoder", [(2, 3, 8, 8)], make)
    GraphCache(Any2Seg(NetworkConfig(width=8))).model("encoder", SHAPES, make)
    assert make.count == 4


def test_graphs_may_be_read_by_another_user(folder, network):
    GraphCache(network).model("encoder", SHAPES, Maker())
    made = [path for path in folder.rglob("*")]
    assert any(path.name == "graph.xml" for path in made)
    assert all(path.stat().st_mode & 0o004 for path in made)
    assert all(path.stat().st_mode & 0o001 for path in made if path.is_dir())


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, network, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path / "file" / "below"))
    make = Maker()
    assert result(GraphCache(network).model("encoder", SHAPES, make)).shape == (1, 2, 8, 8)


def test_graphs_that_nobody_wants_any_more_are_removed(folder, network):
    make = Maker()
    GraphCache(network).model("encoder", SHAPES, make)
    mine = next(folder.iterdir())
    old, recent = folder / "0123456789abcdef", folder / ("f" * 16)
    for other in (old, recent, folder / "somebody elses"):
        other.mkdir()
    long_ago = time.time() - UNUSED - 60
    for path in (mine, old, folder / "somebody elses"):
        os.utime(path, (long_ago, long_ago))
    GraphCache(network).model("encoder", SHAPES, make)  # read: is wanted again
    assert make.count == 1
    GraphCache(network).model("decoder", SHAPES, make)  # made: others are looked at
    assert {path.name for path in folder.iterdir()} == {mine.name, recent.name, "somebody elses"}


def test_what_a_killed_process_left_of_a_graph_is_removed(folder, network):
    GraphCache(network).model("encoder", SHAPES, Maker())
    graph = next(folder.glob("*/*"))
    left = graph.with_name(f".{graph.name}.999999999.part")
    graph.rename(left)
    GraphCache(network).model("encoder", SHAPES, Maker())
    assert [path.name for path in graph.parent.iterdir()] == [graph.name]


def test_another_torch_and_another_converter_have_graphs_of_their_own(
    folder, network, tmp_path, monkeypatch
):
    make = Maker()
    GraphCache(network).model("encoder", SHAPES, make)
    with monkeypatch.context() as patch:
        patch.setattr(graph_cache.torch, "__version__", "99.0")
        GraphCache(network).model("encoder", SHAPES, make)
    (tmp_path / "converter.py").write_text("pass")
    monkeypatch.setattr(graph_cache, "_CONVERTER", tmp_path / "converter.py")
    GraphCache(network).model("encoder", SHAPES, make)
    assert make.count == 3
