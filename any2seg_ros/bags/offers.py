"""With which QoS topics are published: of bags, and of a running graph."""

from __future__ import annotations

from dataclasses import dataclass, field

from rosbags.interfaces import Connection, QosDurability, QosReliability

from any2seg_ros.messages.offers import Offer, asked, unique


@dataclass
class Graph:
    """What a running ROS graph says of its topics, beside their messages."""

    types: dict[str, str] = field(default_factory=dict)
    """Message type by topic, of topics that were not recorded as well."""
    offers: dict[str, tuple[Offer, ...]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    """What is wrong, and what to do."""
    notes: list[str] = field(default_factory=list)


def offers_of(connection: Connection) -> tuple[Offer, ...]:
    """Those of a bag's connection, as the recorder wrote them; none where it did not."""
    given = getattr(connection.ext, "offered_qos_profiles", ())
    return unique(
        Offer(
            one.reliability == QosReliability.RELIABLE,
            one.durability == QosDurability.TRANSIENT_LOCAL,
        )
        for one in given
    )


def differing(topic: str, offers: tuple[Offer, ...], keeps: bool = False) -> tuple[str, str] | None:
    """What is wrong where publishers of a topic offer different things, and what to do."""
    if len(offers) < 2:
        return None
    mine = asked(offers, keeps)
    also = "; what is latched is heard with a second subscription" if keeps else ""
    return (
        f"publishers of {topic} offer different QoS: {' and '.join(f'({one})' for one in offers)}",
        f"the node asks for ({mine}), which all of them fulfil{also}; a subscriber that asks for "
        f"({offers[0]}) does not hear ({offers[-1]}): have all publish alike",
    )
