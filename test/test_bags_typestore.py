"""The message types that bags are read and written with."""

from __future__ import annotations

import re

import pytest

from any2seg_ros.bags.typestore import typestore
from any2seg_ros.messages import kinds
from any2seg_ros.resources import find

NAMES = [name for name, kind in vars(kinds).items() if name.isupper() and isinstance(kind, str)]


@pytest.mark.parametrize("name", NAMES)
def test_every_type_that_the_package_names_is_known(name: str) -> None:
    assert getattr(kinds, name) in typestore().types


def test_the_nodes_messages_are_those_of_msg() -> None:
    """Field by field, and constants: a bag is read with the definition that a vehicle has."""
    store = typestore()
    for kind in (kinds.STATUS, kinds.MODALITY_STATUS):
        text = find(f"msg/{kind.rsplit('/', 1)[1]}.msg").read_text()
        lines = [line.split("#")[0].split() for line in text.splitlines()]
        fields = [words[1] for words in lines if len(words) == 2 and "=" not in words[1]]
        constants, known = store.fielddefs[kind]
        assert [name for name, _ in known] == fields
        assert len(constants) == len(re.findall(r"^\w+ \w+=\w+", text, re.MULTILINE))


def test_two_stores_are_independent() -> None:
    first, second = typestore(), typestore()
    from rosbags.typesys import get_types_from_msg

    first.register(get_types_from_msg("uint8 x", "some_msgs/msg/Thing"))
    assert "some_msgs/msg/Thing" in first.types and "some_msgs/msg/Thing" not in second.types
