"""`any2seg bench`."""

from __future__ import annotations

import json

from any2seg_ros.bench import synchronizer
from any2seg_ros.cli import main


def test_an_unknown_section_is_refused_with_those_there_are(capsys):
    assert main(["bench", "--only", "coffee"]) == 2
    assert "no section 'coffee': use one of place, synchronizer" in capsys.readouterr().err


def test_figures_are_printed_and_written_with_the_machine(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(synchronizer, "run", lambda: {"us_per_message": 2.5})
    file = tmp_path / "new" / "bench.json"
    assert main(["bench", "--only", "synchronizer", "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    assert figures[synchronizer.SECTION] == {"us_per_message": 2.5}
    assert figures["machine"]["cores"] >= 1
    assert "2.5" in capsys.readouterr().out
