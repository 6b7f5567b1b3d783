"""With which QoS topics are published: of bags, and of a running graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rosbags.interfaces import Connection, QosDurability, QosReliability


@dataclass(frozen=True, order=True)
class Offer:
    """What a publisher offers."""

    reliable: bool
    latched: bool
    """Transient local: it keeps messages for those who come later."""

    def __str__(self) -> str:
        reliability = "reliable" if self.reliable else "best effort"
        return f"{reliability}, {'transient local' if self.latched else 'volatile'}"

    @property
    def short(self) -> str:
        """For tables: volatile is the usual and not said."""
        return f"{'reliable' if self.reliable else 'best effort'}{', latched' * self.latched}"


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


def unique(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Each of them once."""
    return tuple(sorted(set(offers), reverse=True))


def asked(offers: Iterable[Offer], keeps: bool = False) -> Offer:
    """With what the node subscribes: what all publishers offer. keeps: latched ones count."""
    offers = tuple(offers)
    reliable = bool(offers) and all(one.reliable for one in offers)
    return Offer(reliable, keeps and reliable and all(one.latched for one in offers))


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
