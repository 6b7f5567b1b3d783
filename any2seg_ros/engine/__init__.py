"""Runs a network on modality images: torch, OpenVINO or ONNX Runtime behind one interface."""

from any2seg_ros.engine.graphs import Maps
from any2seg_ros.engine.segmenter import EngineConfig, Segmenter

__all__ = ["EngineConfig", "Maps", "Segmenter"]
