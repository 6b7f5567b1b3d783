"""With ANY2SEG_SKIP_MISSING=1, as `colcon test` sets it, tests of packages that are not installed
are skipped; otherwise they fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

SKIP = os.environ.get("ANY2SEG_SKIP_MISSING") == "1"


def missing(error: BaseException | None) -> str:
    """The package that is not installed and caused an error; empty if something else did."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            name = error.name.split(".")[0]
            return "" if name == "any2seg_ros" else name
        error = error.__cause__ or error.__context__
    return ""


class Module(pytest.Module):
    """A test module that is skipped where a package that it imports is missing."""

    def _getobj(self) -> Any:
        try:
            return super()._getobj()
        except self.CollectError as error:
            package = missing(error)
        if not package:
            return super()._getobj()
        pytest.skip(f"{package} is not installed", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Any, parent: Any) -> Any:
    return Module.from_parent(parent, path=module_path) if SKIP else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: Any) -> Iterator[None]:
    return (yield from _skipping())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: Any) -> Iterator[None]:
    return (yield from _skipping())


def _skipping() -> Iterator[None]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        package = missing(error)
        if SKIP and package:
            pytest.skip(f"{package} is not installed")
        raise
