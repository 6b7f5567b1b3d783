"""OpenVINO finds no telemetry."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("openvino")

from any2seg_ros.engine.openvino_import import without_telemetry


def test_telemetry_cannot_be_imported_meanwhile_and_is_as_before_afterwards(monkeypatch):
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    with without_telemetry(), pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
    assert "openvino_telemetry" not in sys.modules


def test_what_somebody_else_imported_stays(monkeypatch):
    theirs = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", theirs)
    with pytest.raises(KeyError), without_telemetry():
        raise KeyError
    assert sys.modules["openvino_telemetry"] is theirs
