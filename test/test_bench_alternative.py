"""The alternative network of the benchmark is a SegFormer-B0 that really runs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("openvino", reason="the engine of the comparison")
pytest.importorskip("transformers", reason="the network of the comparison")

from any2seg_ros.bench import alternative


def test_segformer_gives_logits_of_an_image() -> None:
    request = alternative._segformer((64, 32), "f32")
    rng = np.random.default_rng(0)
    first, other = (rng.standard_normal((1, 3, 32, 64)).astype("f4") for _ in range(2))
    logits = np.array(request.infer([first])[0])
    assert logits.shape == (1, 25, 8, 16) and np.isfinite(logits).all()
    assert not np.allclose(logits, request.infer([other])[0])


def test_figures_are_rounded_by_name() -> None:
    assert alternative._by_name({"a": 0, "b": 0}, np.array([1.234, 5.0])) == {"a": 1.23, "b": 5.0}
