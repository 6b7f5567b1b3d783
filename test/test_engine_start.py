"""A start from kept graphs: without torch, without the internet, and whatever became of them."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.engine.export import export_graphs
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.types import Modality, all_subsets

pytest.importorskip("openvino")
pytestmark = pytest.mark.timeout(900)
ROOT = Path(__file__).resolve().parents[1]
SIZE = (96, 64)
START = """
    import json, sys
    from importlib.util import find_spec
    from pathlib import Path
    import numpy as np
    if find_spec("rclpy"):
        import any2seg_ros.node.process
    import any2seg_ros.runtime.pipeline
    import any2seg_ros.messages, any2seg_ros.preprocessing
    from any2seg_ros.engine import EngineConfig, Segmenter
    from any2seg_ros.types import Modality, all_subsets

    segmenter = Segmenter.open(EngineConfig(sys.argv[1], "openvino", threads=1))
    segmenter.prepare()
    images = np.load(sys.argv[2])
    labels = {}
    for subset in all_subsets():
        result = segmenter.segment({m: images[m] for m in subset})
        labels["".join(m.label for m in subset)] = result.labels
    np.savez(sys.argv[3], **labels)
    print(json.dumps("torch" in sys.modules))
"""
WATCH = """
    import sys
    CONNECTED = []

    def hook(event, arguments):
        # Telemetry may hand over to a process of its own.
        if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
            address = arguments[1] if event != "socket.getaddrinfo" else arguments
            if not str(address[0]).startswith(("127.", "localhost", "::1", "/")):
                CONNECTED.append(f"{event} {address}")
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            CONNECTED.append(f"{event} {arguments[0] if arguments else ''}")

    sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npy"
    np.save(path, np.random.default_rng(0).standard_normal((4, 3, SIZE[1], SIZE[0])).astype("f4"))
    return path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Weights with their graphs beside them."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("exported") / "net.safetensors"
    network = Any2Seg(NetworkConfig(width=16, adapters=True))
    for matrices in network.adapters.matrices:
        torch.nn.init.normal_(matrices, std=0.05)
    save(path, network, Metadata(size=SIZE))
    assert export_graphs(path, path.parent) == path.with_suffix(".graphs")
    return path


def start(code: str, *arguments: object, **variables: str) -> str:
    """What the code prints, run in a process of its own: this one has imported torch."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def expected(exported, images, tmp_path_factory):
    """The labels of every subset, made without torch; nothing but the graphs is used."""
    folder = tmp_path_factory.mktemp("expected")
    out = start(START, exported, images, folder / "labels", ANY2SEG_CACHE=str(folder / "cache"))
    assert json.loads(out) is False
    assert not (folder / "cache").exists()
    return dict(np.load(folder / "labels.npz"))


def test_masks_without_torch_are_those_of_torch(exported, images, expected):
    segmenter = Segmenter.open(EngineConfig(str(exported), "torch", "cpu"))
    given = np.load(images)
    for subset in all_subsets():
        labels = segmenter.segment({m: given[m] for m in subset}).labels
        name = "".join(m.label for m in subset)
        assert (labels == expected[name]).mean() > 0.97, name  # bf16 where the processor has it


def test_damaged_graphs_cost_time_and_no_label(exported, images, expected, tmp_path):
    weights = tmp_path / "net.safetensors"
    shutil.copy(exported, weights)
    shutil.copytree(exported.with_suffix(".graphs"), weights.with_suffix(".graphs"))
    flipped, cut, foreign = sorted(weights.with_suffix(".graphs").rglob("*.graph"))
    content, generator = bytearray(flipped.read_bytes()), random.Random(0)
    for _ in range(20):
        content[generator.randrange(5 * 4096, len(content))] ^= 1 << generator.randrange(8)
    flipped.write_bytes(content)
    os.truncate(cut, cut.stat().st_size // 2)
    foreign.write_bytes(b"PK\3\4" + foreign.read_bytes())
    out = start(START, weights, images, tmp_path / "labels", ANY2SEG_CACHE=str(tmp_path / "cache"))
    assert json.loads(out) is True
    assert len(list((tmp_path / "cache").rglob("*.graph"))) == 3
    for name, labels in np.load(tmp_path / "labels.npz").items():
        assert np.array_equal(labels, expected[name]), name


def test_graphs_of_other_weights_are_not_taken(exported, images, tmp_path):
    torch.manual_seed(1)
    weights = tmp_path / "net.safetensors"
    save(weights, Any2Seg(NetworkConfig(width=16)), Metadata(size=SIZE))
    shutil.copytree(exported.with_suffix(".graphs"), weights.with_suffix(".graphs"))
    segmenter = Segmenter.open(EngineConfig(str(weights), "openvino", threads=1))
    reference = Segmenter.open(EngineConfig(str(weights), "torch", "cpu"))
    given = dict(zip(Modality, np.load(images), strict=True))
    labels, expected = segmenter.segment(given).labels, reference.segment(given).labels
    assert (labels == expected).mean() > 0.9


def test_a_new_export_removes_the_graphs_of_other_weights(exported, tmp_path):
    weights = tmp_path / "net.safetensors"
    for seed in range(2):
        torch.manual_seed(seed)
        save(weights, Any2Seg(NetworkConfig(width=8)), Metadata(size=(32, 32)))
        folder = export_graphs(weights, tmp_path)
    assert len(list(folder.iterdir())) == 1
    assert len(list(folder.rglob("*.graph"))) == 3  # an encoder, one modality, several


def test_an_export_that_cannot_be_written_says_so(exported, tmp_path):
    (tmp_path / "net.graphs").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        export_graphs(exported, tmp_path)


def test_no_connection_is_opened_and_nothing_is_written_at_home(exported, images, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "net.safetensors").write_bytes(exported.read_bytes())
    code = textwrap.dedent(WATCH) + textwrap.dedent(
        """
        from pathlib import Path
        from any2seg_ros.engine.export import export, export_graphs
        from any2seg_ros.types import Modality

        weights = Path(sys.argv[1])
        export_graphs(weights, weights.parent)
        export(weights, weights.parent, "openvino", (Modality.RGB,))
        export(weights, weights.parent, "onnx", (Modality.RGB,))
        assert "openvino_telemetry" not in sys.modules
        print("\\n".join(CONNECTED))
        """
    )
    # CI keeps OpenVINO's telemetry quiet by itself.
    out = start(code, tmp_path / "net.safetensors", HOME=str(home), CI="")
    assert [line for line in out.splitlines() if "socket" in line or "telemetry" in line] == []
    assert not (home / "intel").exists()
