"""The reader of configurations: what is wrong is named, and no file can cost much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from any2seg_ros.configuration import (
    LARGEST_FILE,
    as_yaml,
    build,
    check,
    check_keys,
    convert,
    load,
    read_yaml,
    setting,
)


@dataclass(frozen=True)
class Inner:
    """A section."""

    RENAMED: ClassVar[Mapping[str, str]] = {"speed": "rate"}

    rate: float = setting(1.0, "how fast it goes", "Hz", above=0, high=10)
    words: tuple[str, ...] = setting(("a",), "what is said", choices=("a", "b"))
    mode: str = setting("slow", "the mode", choices=("slow", "fast"))

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Outer:
    """All of it."""

    count: int = setting(3, "how many there are", low=1)
    name: str = setting("", "what it is called")
    moving: bool = setting(True, "whether it moves", live=True)
    size: tuple[int, int] = setting((4, 2), "width and height", "px", low=1)
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Needed:
    """A key without a default."""

    path: str


def written(folder: Path, text: str) -> Path:
    path = folder / "some.yaml"
    path.write_text(text)
    return path


def test_a_file_is_read_and_what_it_leaves_out_has_its_default(tmp_path):
    path = written(tmp_path, "count: 5\ninner: {rate: 2, words: b}\nsize: [8, 6]\n")
    assert load(Outer, path) == Outer(5, size=(8, 6), inner=Inner(2.0, ("b",)))
    assert load(Outer, written(tmp_path, "")) == load(Outer, written(tmp_path, "inner:")) == Outer()


def test_numbers_that_yaml_takes_for_text_are_numbers():
    assert build(Inner, {"rate": "1e-3"}).rate == 0.001


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cuont: 3", "unknown key 'cuont': did you mean 'count'?"),
        ("inner: {rat: 3}", "unknown key 'inner.rat': did you mean 'inner.rate'?"),
        ("zzz: 3", "unknown key 'zzz': use one of count, name, moving, size, inner"),
        ("1: 3", "unknown key '1'"),
        ("inner: {speed: 3}", "'inner.speed' is called 'inner.rate' now: rename it"),
        ("count: 0", "count is 0, but must be 1 or more"),
        ("count: 1.5", "count is 1.5, but must be a whole number"),
        ("count: true", "count is True, but must be a whole number"),
        ("moving: 1", "moving is 1, but must be true or false"),
        ("name: 3", "name is 3, but must be text"),
        ("name:", "name is None, but must be text"),
        ("size: [1, 2, 3]", "size is [1, 2, 3], but must be 2 whole numbers"),
        ("size: [1, 0]", "size is [1, 0], but must be 1 px or more"),
        ("inner: {rate: 0}", "inner.rate is 0.0, but must be above 0 and at most 10 Hz"),
        ("inner: {rate: .nan}", "inner.rate is nan, but must be a number"),
        ("inner: {rate: .inf}", "inner.rate is inf, but must be a number"),
        ("inner: {rate: true}", "inner.rate is True, but must be a number"),
        ("inner: {words: [a, c]}", "inner.words is ['a', 'c'], but must be one of a, b"),
        ("inner: 3", "inner is 3, but must be a mapping"),
        ("[1, 2]", "must be a mapping"),
        ("count: 1\ncount: 2", "is no YAML: the key 'count' is there twice"),
        ("a: [", "is no YAML"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML"),
        ("a: 2026-99-99", "is no YAML"),
        ("a: 1\n---\nb: 2", "is no YAML"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(text, words, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError) as told:
        load(Outer, path)
    assert str(path) in str(told.value) and words in str(told.value)


def test_a_key_without_default_is_missed():
    with pytest.raises(ValueError, match="key 'path' is missing"):
        build(Needed, {})


def test_a_range_holds_without_a_file_too():
    with pytest.raises(ValueError, match="rate is 99.0, but must be above 0"):
        replace(Inner(), rate=99.0)


def test_anchors_and_merges_are_taken(tmp_path):
    text = "inner: &one {rate: 2, words: a}\nsize: [1, 2]\n"
    content = read_yaml(written(tmp_path, text + "other: {<<: *one, rate: 3}\n"))
    assert content["other"] == {"rate": 3, "words": "a"}


def bomb(line: str) -> str:
    """Ten levels that each hold the one before nine times."""
    levels = [line.format(n, ", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 10)]
    return "a0: &a0 {x: 1}\n" + "\n".join(levels)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb("a{0}: &a{0} [{1}]"), "more than 10000 values"),
        (bomb("a{0}: &a{0} {{<<: [{1}]}}"), "more than 10000 values"),
        ("a: &a [*a]", "contains itself"),
        ("a: " + "[" * 5000 + "]" * 5000, "deeper than 32 levels"),
        ("a: " + "{b: " * 5000 + "1" + "}" * 5000, "deeper than 32 levels"),
        ("a: [" + "1," * 20000 + "]", "more than 10000 values"),
        ("a: " + "9" * 100_000, "longer than 4096 characters"),
        ("a: 1" + ":01" * 20000, "longer than 4096 characters"),
        ("#" * LARGEST_FILE + "\n", "larger than 256 kB"),
    ],
    ids=["aliases", "merges", "itself", "lists", "mappings", "long", "digits", "base60", "file"],
)
def test_a_file_that_would_cost_much_is_refused_before_it_does(text, words, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=words) as told:
        load(Outer, path)
    assert str(path) in str(told.value) and len(str(told.value)) < 300 + len(str(path))


def test_a_long_value_is_not_repeated_in_full(tmp_path):
    for text in ("count: " + "x" * 4000, "k" * 1000 + ": 1", "count: [" + "1," * 3000 + "]"):
        with pytest.raises(ValueError) as told:
            load(Outer, written(tmp_path, text))
        assert len(str(told.value)) < 400


def test_a_device_that_never_ends_is_not_read_to_its_end():
    with pytest.raises(ValueError, match="larger than"):
        read_yaml("/dev/zero")


def test_yaml_of_a_configuration_describes_every_key_and_reads_back(tmp_path):
    text = as_yaml(Outer())
    assert "# how many there are\ncount: 3\n" in text
    assert "# whether it moves; can be changed at run time\nmoving: true\n" in text
    assert "\n# A section.\ninner:\n  # how fast it goes [Hz]\n  rate: 1.0\n" in text
    assert "# the mode (slow | fast)\n" in text
    assert load(Outer, written(tmp_path, text)) == Outer()


def test_ros_tells_numbers_with_a_point_from_those_without():
    assert convert(float, 1, "x") == 1.0 and convert(float, 1.0, "x", ros=True) == 1.0
    with pytest.raises(ValueError, match="x is 1, but must be a number such as 1.0"):
        convert(float, 1, "x", ros=True)
    with pytest.raises(ValueError, match="x is 'a', but must be a list of words"):
        convert(tuple[str, ...], "a", "x", ros=True)


def test_of_very_many_keys_a_message_lists_some() -> None:
    known = [f"sensor_{n}.parameter" for n in range(200)]
    with pytest.raises(ValueError, match="unknown key 'zzz': use one of sensor_0") as caught:
        check_keys(["zzz"], known)
    assert str(caught.value).endswith(", ...") and len(str(caught.value)) < 1000
