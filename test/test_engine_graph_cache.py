"""Graphs on disk: read back, mended, and never in the way."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from any2seg_ros.engine import graph_cache
from any2seg_ros.engine.conversion import convert
from any2seg_ros.engine.graph_cache import ABANDONED, UNUSED, GraphCache
from any2seg_ros.engine.openvino_import import ov
from any2seg_ros.engine.sources import NetworkSource
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


def make_source() -> NetworkSource:
    return NetworkSource.of_network(Any2Seg(NetworkConfig(width=8)))


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    return make_source()


def result(graph: ov.Model) -> np.ndarray:
    image = np.arange(192, dtype=np.float32).reshape(SHAPES[0]) / 192
    return next(iter(ov.compile_model(graph, "CPU")([image]).values()))


def made(source: NetworkSource, make: Maker) -> np.ndarray:
    """What the graph computes; it points into files that the cache holds."""
    cache = GraphCache(source)
    return result(cache.model("encoder", make))


def test_a_graph_is_made_once_and_read_back_the_same(folder, source):
    make = Maker()
    cache = GraphCache(source)
    first = result(cache.model("encoder", make))
    cache.model("encoder", make)
    again = made(source, make)
    assert make.count == 1
    np.testing.assert_array_equal(first, again)


def test_a_compiled_graph_runs_on_when_the_file_has_been_released_and_removed(folder, source):
    expected = made(source, Maker())
    cache = GraphCache(source)
    compiled = ov.compile_model(cache.model("encoder", Maker()), "CPU")
    cache.release()
    shutil.rmtree(folder)
    image = np.arange(192, dtype=np.float32).reshape(SHAPES[0]) / 192
    np.testing.assert_array_equal(next(iter(compiled([image]).values())), expected)
    np.testing.assert_array_equal(result(cache.model("encoder", Maker())), expected)


@pytest.mark.parametrize("seed", range(3))
def test_a_graph_with_flipped_bits_is_made_again(folder, source, seed):
    make = Maker()
    expected = made(source, make)
    path = next(folder.rglob("*.graph"))
    content = bytearray(path.read_bytes())
    used = [i for i, byte in enumerate(content) if byte]
    generator = random.Random(seed)
    for _ in range(20):
        content[generator.choice(used)] ^= 1 << generator.randrange(8)
    path.write_bytes(content)
    np.testing.assert_array_equal(made(source, make), expected)
    GraphCache(source).model("encoder", make)
    assert make.count == 2


@pytest.mark.parametrize("content", [b"", b"<net", bytes(10_000)])
def test_what_is_no_graph_is_made_again(folder, source, content):
    make = Maker()
    GraphCache(source).model("encoder", make)
    next(folder.rglob("*.graph")).write_bytes(content)
    assert made(source, make).shape == (1, 2, 8, 8)
    GraphCache(source).model("encoder", make)
    assert make.count == 2


def test_a_folder_in_the_place_of_a_graph_is_no_error(folder, source):
    GraphCache(source).model("encoder", Maker())
    path = next(folder.rglob("*.graph"))
    path.unlink()
    path.mkdir()
    make = Maker()
    assert made(source, make).shape == (1, 2, 8, 8)
    assert make.count == 1


def test_other_weights_and_names_have_graphs_of_their_own(folder, source):
    make = Maker()
    GraphCache(source).model("encoder", make)
    GraphCache(source).model("decoder", make)
    GraphCache(make_source()).model("encoder", make)
    assert make.count == 3


def test_graphs_may_be_read_by_another_user(folder, source):
    GraphCache(source).model("encoder", Maker())
    made = [path for path in folder.rglob("*")]
    assert any(path.suffix == ".graph" for path in made)
    assert all(path.stat().st_mode & 0o004 for path in made)
    assert all(path.stat().st_mode & 0o001 for path in made if path.is_dir())


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, source, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ANY2SEG_CACHE", str(tmp_path / "file" / "below"))
    assert made(source, Maker()).shape == (1, 2, 8, 8)


@pytest.mark.parametrize("where", ["checked_file.os.fdopen", "graph_cache.ov.save_model"])
def test_a_full_disk_is_no_error_and_leaves_nothing(folder, source, monkeypatch, where):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"any2seg_ros.engine.{where}", full)
    assert made(source, Maker()).shape == (1, 2, 8, 8)
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_user_without_a_home_is_no_error(source, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for name in ("ANY2SEG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert graph_cache.user_root() is None
    assert made(source, Maker()).shape == (1, 2, 8, 8)


def test_graphs_that_came_with_the_weights_are_taken(folder, tmp_path):
    torch.manual_seed(1)
    source = make_source()
    source.folder = tmp_path / "net.graphs"
    make = Maker()
    GraphCache(source).model("encoder", make)
    folder.rename(source.folder)
    GraphCache(source).model("encoder", make)
    assert make.count == 1 and not folder.exists()


def test_graphs_that_nobody_wants_any_more_are_removed(folder, source):
    make = Maker()
    GraphCache(source).model("encoder", make)
    GraphCache(source).model("decoder", make)
    mine = next(folder.iterdir())
    old, recent = folder / "0123456789abcdef", folder / ("f" * 16)
    for other in (old, recent, folder / "somebody elses"):
        other.mkdir()
        (other / "a.graph").write_text("")
    long_ago = time.time() - UNUSED - 60
    for path in (*mine.iterdir(), old / "a.graph", folder / "somebody elses" / "a.graph"):
        os.utime(path, (long_ago, long_ago))
    GraphCache(source).model("encoder", make)  # read: is wanted again
    assert make.count == 2
    GraphCache(source).model("fusion", make)  # made: others are looked at
    left = {str(path.relative_to(folder)) for path in folder.rglob("*.graph")}
    assert left == {
        f"{mine.name}/encoder.graph",
        f"{mine.name}/fusion.graph",
        f"{recent.name}/a.graph",
        "somebody elses/a.graph",
    }


def test_what_a_killed_process_left_of_a_graph_is_removed_after_a_while(folder, source):
    GraphCache(source).model("encoder", Maker())
    graph = next(folder.rglob("*.graph"))
    dead, busy = (graph.with_name(f".encoder.graph.{name}.part") for name in ("dead", "busy"))
    dead.write_text("")
    busy.write_text("")
    before = time.time() - ABANDONED - 60
    os.utime(dead, (before, before))
    GraphCache(source).model("decoder", Maker())
    assert not dead.exists() and busy.exists()


def test_another_code_has_graphs_of_its_own(folder, source, monkeypatch):
    make = Maker()
    GraphCache(source).model("encoder", make)
    monkeypatch.setattr(graph_cache, "_CONVERTED_BY", ("engine/graphs.py",))
    GraphCache(source).model("encoder", make)
    assert make.count == 2


def test_the_code_that_shapes_graphs_is_all_in_their_key():
    """What a converted graph imports of the package, but for what is no part of it."""
    no_part = {"types", "files", "network.adapters", "network.modality_groups", "engine.features"}
    no_part |= {"engine.openvino_import", "engine.torch_threads"}
    known = {name.removesuffix(".py").replace("/", ".") for name in graph_cache._CONVERTED_BY}
    for name in graph_cache._CONVERTED_BY:
        text = (graph_cache._PACKAGE / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith("from any2seg_ros."):
                module = line.split()[1].removeprefix("any2seg_ros.")
                assert module in known | no_part | {"network", "configuration"}, f"{name}: {line}"
