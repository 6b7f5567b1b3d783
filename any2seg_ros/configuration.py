"""Configurations: fields that describe themselves, and the one reader of YAML for all of them.

A configuration is a frozen dataclass whose fields are made by `setting`. `load` reads one from a
YAML file, `build` from a mapping; `RENAMED` of the class maps the keys it had before to today's,
`SHORT` names the key that a text alone stands for.
"""

from __future__ import annotations

import difflib
import math
import reprlib
import textwrap
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from any2seg_ros.types import Modality

LARGEST_FILE = 256 * 1024
"""Bytes of a file that are read at most."""
MOST_VALUES = 10_000
"""Values of a file at most, those that anchors and merges repeat counted each time."""
DEEPEST = 32
"""Levels of nesting at most."""
LONGEST_TEXT = 4096
"""Characters of one key or value at most."""

T = TypeVar("T")

_INFO = "info"
_NAMED = 30
"""Keys that a message lists at most."""
_TYPES = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
_ROS_TYPES = {**_TYPES, float: "a number such as 1.0", str: "text in quotes"}
_PLURALS = {float: "numbers", int: "whole numbers", bool: "true or false", str: "words"}
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


@dataclass(frozen=True)
class FieldInfo:
    """What is known of a field besides its name, type and default; see `setting`."""

    text: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    only: tuple[Modality, ...] = tuple(Modality)

    @property
    def range(self) -> str:
        """What the value must be, in words with the unit; empty where anything goes."""
        unit = f" {self.unit}" if self.unit else ""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.above is not None:
            most = "" if self.high is None else f" and at most {self.high}"
            return f"above {self.above}{most}{unit}"
        if self.low is not None and self.high is not None:
            return f"from {self.low} to {self.high}{unit}"
        if self.low is not None:
            return f"{self.low}{unit} or more"
        return "" if self.high is None else f"at most {self.high}{unit}"

    def check(self, key: str, value: Any) -> None:
        """ValueError that names the key, its value and the range, unless the value is in it."""
        if not all(map(self._fits, value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"{key} is {_shown(value)}, but must be {self.range}")

    def _fits(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        # Written so that NaN fits no range.
        return (
            (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
        )


def setting(
    default: Any,
    text: str,
    unit: str = "",
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: Iterable[str] = (),
    live: bool = False,
    only: Iterable[Modality] = tuple(Modality),
) -> Any:
    """A field of a configuration; of a tuple, range and choices are those of each element.

    low, high: inclusive ends of the range; above: an exclusive lower one. live: may change while
    the node runs. only: the sensors that have it.
    """
    info = FieldInfo(text, unit, low, high, above, tuple(choices), live, tuple(only))
    return field(default=default, metadata={_INFO: info})


def info_of(item: Field) -> FieldInfo | None:
    """What `setting` was told of a field; None for a field that it did not make."""
    return item.metadata.get(_INFO)


def check(config: Any, where: str = "") -> None:
    """ValueError for the first field of `config` out of its range; `where` goes before its name."""
    for item in fields(config):
        info = info_of(item)
        if info is not None:
            info.check(where + item.name, getattr(config, item.name))


def load(kind: type[T], path: Path | str) -> T:
    """The configuration `kind` in a YAML file.

    FileNotFoundError; ValueError names the file, the key, its value and what it may be.
    """
    content = read_yaml(path)
    try:
        return build(kind, content)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file, empty for an empty file.

    FileNotFoundError; ValueError for a file that is no mapping, or larger, deeper or longer than
    configurations are (`LARGEST_FILE`, `MOST_VALUES`, `DEEPEST`, `LONGEST_TEXT`).
    """
    loaded = read_any(path)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} must be a mapping of keys to values")
    return loaded


def read_any(path: Path | str) -> Any:
    """What a YAML file holds, whatever that is; for the errors and bounds see `read_yaml`."""
    with Path(path).open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_FILE // 1024} kB: no configuration is")
    try:
        # A SafeLoader, and bounded.
        return yaml.load(content.decode("utf-8-sig"), Loader=_BoundedLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None


def build(kind: type[T], content: Any, where: str = "") -> T:
    """The configuration `kind` of a mapping as YAML and JSON have it; None is an empty one.

    `where` goes before each key in errors. ValueError names the key.
    """
    if content is None:
        content = {}
    if not isinstance(content, Mapping):
        raise ValueError(
            f"{where.rstrip('.') or 'the file'} is {_shown(content)}, but must be a mapping of "
            "keys to values"
        )
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    check_keys(content, known, where, getattr(kind, "RENAMED", {}))
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in content.items():
        values[key] = convert(hints[key], value, where + key)
        info = info_of(known[key])
        if info is not None:
            info.check(where + key, values[key])
    for name, item in known.items():
        if name not in values and item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"key '{where}{name}' is missing")
    return kind(**values)


def check_keys(
    content: Iterable[Any],
    known: Iterable[str],
    where: str = "",
    renamed: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """ValueError for the first key that is not `known`, with the key that was meant."""
    known = tuple(known)
    for key in content:
        if key in renamed:
            raise ValueError(f"'{where}{key}' is called '{where}{renamed[key]}' now: rename it")
        if key not in known:
            near = difflib.get_close_matches(str(key)[:80], known, 1)
            some = ", ".join(known[:_NAMED]) + (", ..." if len(known) > _NAMED else "")
            hint = f"did you mean '{where}{near[0]}'?" if near else f"use one of {some}"
            raise ValueError(f"unknown key '{where}{str(key)[:80]}': {hint}")


def convert(hint: Any, value: Any, key: str, ros: bool = False) -> Any:
    """A value as a field of type `hint` has it; ValueError names the key and what it must be.

    `ros`: as ROS parameters are typed, where a number with a point is not one without.
    """
    if is_dataclass(hint) and isinstance(hint, type):
        short = getattr(hint, "SHORT", "")
        return build(hint, {short: value} if short and isinstance(value, str) else value, f"{key}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return _tuple(arguments, value, key, ros)
    if origin is dict:
        if not isinstance({} if value is None else value, Mapping):
            raise ValueError(f"{key} is {_shown(value)}, but must be a mapping")
        return {str(k): convert(arguments[1], v, f"{key}.{k}") for k, v in (value or {}).items()}
    if hint is Any:
        return value
    if hint is float and not ros and isinstance(value, (int, str)) and not isinstance(value, bool):
        value = _number(value)
    words = (_ROS_TYPES if ros else _TYPES).get(hint, getattr(hint, "__name__", str(hint)))
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise ValueError(f"{key} is {_shown(value)}, but must be {words}")
    return value


def _tuple(kinds: tuple[Any, ...], value: Any, key: str, ros: bool) -> tuple[Any, ...]:
    """The elements of a list; a single value is a list of one, except in ROS."""
    words = _PLURALS.get(kinds[0], "values")
    if isinstance(value, (list, tuple)):
        values = list(value)
    elif not ros:
        values = [value]
    else:
        raise ValueError(f"{key} is {_shown(value)}, but must be a list of {words}")
    if kinds[-1] is not Ellipsis and len(values) != len(kinds):
        raise ValueError(f"{key} is {_shown(value)}, but must be {len(kinds)} {words}")
    return tuple(convert(kinds[0], each, key, ros) for each in values)


def _number(value: int | str) -> Any:
    """What YAML takes for text is a number where it reads like one: 1e-3."""
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value


def _shown(value: Any) -> str:
    """A value in a message: short, whatever it is."""
    return _SHOWN.repr(list(value) if isinstance(value, tuple) else value)


class _BoundedLoader(yaml.SafeLoader):
    """Refuses keys that are there twice, and what is larger than configurations are."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._sizes: dict[int, int] = {}
        """Values in each node, those that aliases repeat counted each time."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_TEXT:
            raise ValueError(f"a key or value is longer than {LONGEST_TEXT} characters")
        if self._depth >= DEEPEST:
            raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise ValueError(f"the anchor '{event.anchor}' contains itself")
        else:
            self._sizes[id(node)] = 1 + sum(self._sizes[id(part)] for part in _parts(node))
            _check_twice(node)
        if self._sizes[id(node)] > MOST_VALUES:
            raise ValueError(f"it has more than {MOST_VALUES} values")
        return node


def _parts(node: Any) -> Iterator[Any]:
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _check_twice(node: Any) -> None:
    """ValueError where a mapping has a key twice: YAML would take the last without a word."""
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise ValueError(f"the key '{key.value[:80]}' is there twice")
            seen.add(key.value)


@dataclass(frozen=True)
class Entry:
    """One key of a configuration with all that is known of it, for parameters and documents."""

    name: str
    default: Any
    info: FieldInfo

    @property
    def text(self) -> str:
        """The description, with the choices that it does not name, and the unit."""
        text, choices = self.info.text, self.info.choices
        if not all(choice in text for choice in choices):
            text += f" ({' | '.join(choices)})"
        return f"{text} [{self.info.unit}]" if self.info.unit else text

    @property
    def low(self) -> float | None:
        """The lower end of the range."""
        return self.info.low

    @property
    def high(self) -> float | None:
        """The upper end of the range."""
        return self.info.high

    @property
    def switch(self) -> bool:
        """Whether yes and no are among the choices: YAML reads them as true and false."""
        return {"yes", "no"} <= set(self.info.choices)

    @property
    def live(self) -> bool:
        """Whether it may change while the node runs."""
        return self.info.live


def as_yaml(config: Any, indent: str = "") -> str:
    """A configuration as YAML, every key with its description; sections have their class's."""
    parts = []
    for item in fields(config):
        value, info = getattr(config, item.name), info_of(item)
        if info is not None:
            parts.append(entry_yaml(Entry(item.name, value, info), indent))
        elif is_dataclass(value):
            text = (type(value).__doc__ or "").partition("\n")[0]
            head = f"\n{_comment(text, indent)}{indent}{item.name}:\n"
            parts.append(head + as_yaml(value, indent + "  "))
    return "".join(parts)


def entry_yaml(entry: Entry, indent: str = "") -> str:
    """A key with its default, below its description."""
    text = f"{entry.text}{'; can be changed at run time' if entry.live else ''}"
    name = entry.name.rpartition(".")[2]
    return f"{_comment(text, indent)}{indent}{name}: {_yaml(entry.default)}\n"


def _comment(text: str, indent: str) -> str:
    start = f"{indent}# "
    return textwrap.fill(text, 96, initial_indent=start, subsequent_indent=start) + "\n"


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(v if isinstance(v, str) else _yaml(v) for v in value)}]"
    if is_dataclass(value):
        return _inline(value)
    return repr(value)


def _inline(config: Any) -> str:
    """A configuration on one line: what is not as by default, the text alone where it may be."""
    short = getattr(config, "SHORT", "")
    told = {
        item.name: getattr(config, item.name)
        for item in fields(config)
        if item.name == short or getattr(config, item.name) != item.default
    }
    if list(told) == [short]:
        return str(told[short])
    return f"{{{', '.join(f'{name}: {_yaml(value)}' for name, value in told.items())}}}"
