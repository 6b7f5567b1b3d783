"""Settings come from one YAML, and what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from any2seg_ros import resources
from any2seg_ros.configuration import as_yaml
from any2seg_ros.simulation.settings import DEFAULTS, HEADER, load_settings


def test_the_shipped_file_is_made_from_the_dataclasses() -> None:
    shipped = resources.find("config/simulation.yaml")
    assert shipped.read_text() == HEADER + as_yaml(DEFAULTS)
    assert load_settings(shipped) == DEFAULTS


def test_what_is_not_said_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("lidar: {beams: 16}\nrgb: {position: [1, 0, 0.5]}\n")
    settings = load_settings(tmp_path / "s.yaml")
    assert settings.lidar.beams == 16 and settings.rgb.position == (1.0, 0.0, 0.5)
    assert settings.event == DEFAULTS.event


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("lidar: {beems: 16}", "unknown key 'lidar.beems': did you mean 'lidar.beams'"),
        ("radar: {}", "unknown key 'radar': .*lidar"),
        ("lidar: 3", "lidar is 3, but must be a mapping"),
        ("lidar: {beams: many}", "lidar.beams is 'many', but must be a whole number"),
        ("lidar: {beams: 0}", "lidar.beams is 0, but must be from 1 to 1024"),
        ("rgb: {field_of_view: 180}", "rgb.field_of_view is 180.0, but must be above 0 .*170 deg"),
        ("rgb: {position: [1, 2]}", "rgb.position is .*, but must be 3 numbers"),
        ("lidar: [", "s.yaml is no YAML"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ValueError, match=named):
        load_settings(tmp_path / "s.yaml")
