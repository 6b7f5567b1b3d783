"""Runs a network on modality images: torch, OpenVINO or ONNX Runtime behind one interface."""

from any2seg_ros.engine.features import Features
from any2seg_ros.engine.segmenter import EngineConfig, NonFiniteOutput, Segmenter

__all__ = ["EngineConfig", "Features", "NonFiniteOutput", "Segmenter"]
