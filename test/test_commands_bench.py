"""`any2seg bench`."""

from __future__ import annotations

import json
import sys

import pytest

from any2seg_ros.bench import synchronizer
from any2seg_ros.cli import main
from any2seg_ros.commands.bench import measure


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


def test_a_section_that_lacks_a_package_is_named_and_the_others_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(synchronizer, "run", lambda: {"us_per_message": 2.5})
    monkeypatch.setitem(sys.modules, "transformers", None)
    file = tmp_path / "bench.json"
    chosen = ["--only", "network", "--only", "synchronizer"]
    assert main(["bench", *chosen, "--json", str(file)]) == 0
    words = "transformers (extra training) is not installed: "
    words += "pip install -r requirements-training.txt"
    assert f"network is left out: {words}" in capsys.readouterr().out
    figures = json.loads(file.read_text())
    assert figures[synchronizer.SECTION] and figures["left_out"] == {"network": words}


def test_nothing_to_run_is_an_error_in_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["bench", "--only", "network"]) == 2
    said = capsys.readouterr().err
    assert (
        "network: transformers (extra training) is not installed" in said
        and "Traceback" not in said
    )


def test_a_module_of_ours_that_is_missing_is_no_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "any2seg_ros.bench.synchronizer", None)
    with pytest.raises(ModuleNotFoundError):
        measure(["synchronizer"])
