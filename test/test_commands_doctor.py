"""`any2seg doctor`."""

from __future__ import annotations

import pytest

from any2seg_ros import doctor
from any2seg_ros.cli import main


@pytest.mark.parametrize("status", [0, 1])
def test_its_exit_status_says_whether_anything_is_missing(status, monkeypatch):
    monkeypatch.setattr(doctor, "run", lambda: status)
    assert main(["doctor"]) == status
