"""What is not installed is skipped in a workspace, and fails elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = {
    "test_import.py": "import a_package_that_is_not_there\ndef test_it():\n    pass\n",
    "test_late.py": "def test_late():\n    import another_one.of_them\n",
    "test_ours.py": "import any2seg_ros.no_such_module\ndef test_it():\n    pass\n",
    "test_good.py": "def test_good():\n    pass\n",
}


@pytest.mark.parametrize(
    ("skip", "words"),
    [
        ("1", ("1 passed, 2 skipped, 1 error", "a_package_that_is_not_there is not installed")),
        ("", ("1 failed, 1 passed, 2 errors",)),
    ],
)
def test_missing_packages_are_skipped_in_a_workspace_alone(tmp_path, skip, words):
    for name, text in TESTS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    plugins = ("no:launch_testing", "no:launch_ros", "no:cacheprovider")
    options = ["-rs", "--continue-on-collection-errors", f"--rootdir={tmp_path}"]
    options += [word for plugin in plugins for word in ("-p", plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "ANY2SEG_SKIP_MISSING": skip},
        timeout=120,
    )
    assert all(word in done.stdout for word in words), done.stdout
