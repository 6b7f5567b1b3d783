"""What publishers offer of a topic, and with what the node asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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


def unique(offers: Iterable[Offer]) -> tuple[Offer, ...]:
    """Each of them once."""
    return tuple(sorted(set(offers), reverse=True))


def asked(offers: Iterable[Offer], keeps: bool = False) -> Offer:
    """With what the node subscribes: what all publishers offer. keeps: latched ones count."""
    offers = tuple(offers)
    reliable = bool(offers) and all(one.reliable for one in offers)
    return Offer(reliable, keeps and reliable and all(one.latched for one in offers))
