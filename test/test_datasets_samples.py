"""What samples are preprocessed for follows from the network."""

from __future__ import annotations

from any2seg_ros.datasets import Target
from any2seg_ros.engine import EngineConfig, Segmenter
from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.checkpoints import Metadata, save
from any2seg_ros.preprocessing import PreprocessingConfig
from any2seg_ros.taxonomy import DELIVER


def test_a_network_gets_the_images_that_it_was_trained_with(tmp_path):
    metadata = Metadata(size=(64, 32), preprocessing={"range_far": 50.0})
    save(tmp_path / "w.safetensors", Any2Seg(NetworkConfig(width=16)), metadata)
    segmenter = Segmenter.open(EngineConfig(str(tmp_path / "w.safetensors"), "torch", "cpu"))
    expected = Target((64, 32), PreprocessingConfig(range_far=50.0), DELIVER)
    assert Target.of(segmenter) == expected
