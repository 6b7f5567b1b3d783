"""What the label ids of other people's data stand for: one of our classes, several, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from any2seg_ros.configuration import read_any
from any2seg_ros.resources import find
from any2seg_ros.taxonomy import Taxonomy
from any2seg_ros.types import IGNORE, plain

FOLDER = "config/label_maps"
IDS = 1 << 16
"""Label images have 8 or 16 bits."""
UNKNOWN = 254
"""In `LabelMap.lookup`, an id that the map does not name."""


@dataclass(frozen=True, eq=False)
class ClassGroups:
    """What the values of a label image stand for: value i for the classes in `groups[i]`.

    A pixel is right if the predicted class is among its group's. Groups may overlap: a rider is a
    person or a two-wheeler.
    """

    taxonomy: Taxonomy
    groups: tuple[frozenset[int], ...]

    @classmethod
    def of_classes(cls, taxonomy: Taxonomy) -> ClassGroups:
        """Every class on its own: what labels in the network's own classes are."""
        return cls(taxonomy, tuple(frozenset([i]) for i in range(len(taxonomy))))

    def __len__(self) -> int:
        return len(self.groups)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassGroups) and (self.taxonomy.name, self.groups) == (
            other.taxonomy.name,
            other.groups,
        )

    @cached_property
    def members(self) -> np.ndarray:
        """bool (G, K): which classes a group has."""
        members = np.zeros((len(self), len(self.taxonomy)), bool)
        for index, group in enumerate(self.groups):
            members[index, sorted(group)] = True
        return members

    @cached_property
    def plain(self) -> bool:
        """Whether the groups are the classes themselves, in order."""
        return self.groups == ClassGroups.of_classes(self.taxonomy).groups

    @cached_property
    def as_taxonomy(self) -> Taxonomy:
        """The groups as classes of their own, for tables and pictures."""
        if self.plain:
            return self.taxonomy
        firsts = [min(group) for group in self.groups]
        names = ("+".join(self.taxonomy.classes[i] for i in sorted(g)) for g in self.groups)
        colors = tuple(self.taxonomy.colors[first] for first in firsts)
        return Taxonomy(self.taxonomy.name, tuple(names), colors)

    @cached_property
    def _homes(self) -> np.ndarray:
        """The smallest group that has a class, uint8 (256,); G where none has it."""
        homes = np.full(256, len(self), np.uint8)
        for index in sorted(range(len(self)), key=lambda i: -len(self.groups[i])):
            homes[sorted(self.groups[index])] = index
        return homes

    def seen(self, labels: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """The predicted classes as groups, both uint8 (H, W): the label's own where the class is
        among its group's, else the smallest group that has the class; G where none has."""
        if self.plain:
            return prediction
        seen = self._homes[prediction]
        table = np.zeros((256, 256), bool)
        table[: len(self), : len(self.taxonomy)] = self.members
        return np.where(table[labels, prediction], labels, seen)


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The ids of label images, and what each stands for: classes by name, none for nothing.

    name: of the file it was read from. An id that is not named is an error where it occurs, but
    for 255, which is nothing unless it is named.
    """

    name: str
    classes: Mapping[int, tuple[str, ...]]
    taxonomy: Taxonomy
    groups: ClassGroups = field(init=False)

    def __post_init__(self) -> None:
        known = set(self.taxonomy.classes)
        for label, names in self.classes.items():
            for unknown in (n for n in names if n not in known):
                raise ValueError(
                    f"{self.name}: label {label} is '{plain(unknown)}', which is no class of "
                    f"{self.taxonomy.name}: use {', '.join(self.taxonomy.classes)}, or null"
                )
        if not any(self.classes.values()):
            raise ValueError(
                f"{self.name} names no class: write one or several for each label id, as in "
                f"{FOLDER}/"
            )
        groups = dict.fromkeys(self._group(names) for names in self.classes.values() if names)
        if len(groups) > UNKNOWN:
            raise ValueError(
                f"{self.name} has {len(groups)} different groups of classes, at most {UNKNOWN}"
            )
        object.__setattr__(self, "groups", ClassGroups(self.taxonomy, tuple(groups)))

    def _group(self, names: Sequence[str]) -> frozenset[int]:
        return frozenset(self.taxonomy.id(name) for name in names)

    @cached_property
    def lookup(self) -> np.ndarray:
        """The group of each label id, uint8 (65536,); 255 for nothing, 254 for ids not named."""
        table = np.full(IDS, UNKNOWN, np.uint8)
        table[[IGNORE, IDS - 1]] = IGNORE
        for label, names in self.classes.items():
            table[label] = self.groups.groups.index(self._group(names)) if names else IGNORE
        return table

    def apply(self, ids: np.ndarray, where: str) -> np.ndarray:
        """Label ids uint8 or uint16 (h, w) as values of `groups`, uint8, 255 for nothing.

        ValueError for an id that the map does not name; `where` says which file has it.
        """
        values = self.lookup[ids]
        if (values == UNKNOWN).any():
            label = int(ids[values == UNKNOWN][0])
            raise ValueError(
                f"{where} has the label {label}, which {self.name} does not name: add it there, "
                f"'{label}: null' if it stands for nothing"
            )
        return values


def read_label_map(source: str | Path, taxonomy: Taxonomy) -> LabelMap:
    """A label map from a YAML file, or the one of that name that comes with the package.

    The file maps each label id to a class, a list of classes, or null, or it is the name of a map
    of the package. FileNotFoundError, and ValueError that names the file and the entry.
    """
    path = Path(source)
    if not path.suffix and not path.is_file():
        path = _shipped(str(source))
    if not path.is_file():
        raise FileNotFoundError(f"there is no label map at {path}: use {_known()}, or a YAML file")
    content = read_any(path)
    if isinstance(content, str):
        return read_label_map(_shipped(plain(content)), taxonomy)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must map label ids to classes, as '7: Road'")
    return LabelMap(
        str(path), {_id(path, k): _names(path, v) for k, v in content.items()}, taxonomy
    )


def _shipped(name: str) -> Path:
    try:
        return find(f"{FOLDER}/{name}.yaml")
    except FileNotFoundError:
        raise FileNotFoundError(f"no label map is called '{name}': use {_known()}") from None


def _known() -> str:
    return ", ".join(sorted(path.stem for path in find(FOLDER).glob("*.yaml")))


def _id(path: Path, key: Any) -> int:
    if not isinstance(key, int) or isinstance(key, bool) or not 0 <= key < IDS:
        raise ValueError(
            f"{path}: '{plain(key)}' is no label id: use whole numbers from 0 to 65535"
        )
    return key


def _names(path: Path, value: Any) -> tuple[str, ...]:
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"{path}: '{plain(value)}' is neither a class, a list of classes, nor null"
        )
    return tuple(names)
