"""Settings come from one YAML, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from any2seg_ros import resources
from any2seg_ros.simulation.settings import DEFAULTS, load_settings


def test_the_shipped_file_states_the_defaults() -> None:
    assert load_settings(resources.find("config/simulation.yaml")) == DEFAULTS


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("lidar: {beams: 16}\nrgb: {position: [1, 0, 0.5]}\n")
    settings = load_settings(tmp_path / "s.yaml")
    assert settings.lidar.beams == 16 and settings.rgb.position == (1.0, 0.0, 0.5)
    assert settings.event == DEFAULTS.event


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lidar: {beems: 16}", "lidar.beems"),
        ("radar: {}", "radar"),
        ("lidar: 3", "lidar"),
        ("lidar: {beams: many}", "lidar.beams"),
        ("lidar: [", "s.yaml"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ValueError, match=named):
        load_settings(tmp_path / "s.yaml")
