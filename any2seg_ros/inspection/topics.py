"""Rates, sizes, gaps and stamps of a bag's topics, from its serialised messages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from any2seg_ros.bags.reader import BagReader
from any2seg_ros.bags.stamps import STAMP_OFFSET, header_stamp
from any2seg_ros.messages.offers import Offer

_DAY = 86_400_000_000_000


@dataclass
class TopicStats:
    """One topic as it was recorded; times in ns."""

    topic: str
    type: str
    count: int = 0
    size: int = 0
    """Bytes of all its messages."""
    log_times: list[int] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    """header.stamp of each message; of types without a header, what stands in its place."""
    offers: tuple[Offer, ...] = ()
    """With which QoS it is published; empty where that is not known."""

    @property
    def rate(self) -> float:
        """Messages a second; 0 where there are too few."""
        span = (self.log_times[-1] - self.log_times[0]) * 1e-9 if self.count > 1 else 0.0
        return (self.count - 1) / span if span > 0 else 0.0

    @property
    def interval(self) -> float:
        """Median time between stamps in s; 0 where there are too few."""
        return float(np.median(np.diff(self.stamps))) * 1e-9 if self.count > 1 else 0.0

    @property
    def qos(self) -> str:
        """What its publishers offer, for tables; empty where that is not known."""
        return " and ".join(offer.short for offer in self.offers)

    @property
    def gap(self) -> float:
        """Longest time between messages in s."""
        return float(np.diff(self.log_times).max()) * 1e-9 if self.count > 1 else 0.0

    @property
    def delay(self) -> float | None:
        """Median time from stamp to recording in s; None where stamps are of another clock."""
        if not self.count:
            return None
        behind = float(np.median(np.subtract(self.log_times, self.stamps)))
        return behind * 1e-9 if abs(behind) < _DAY else None

    def difference(self, other: TopicStats, offset: float = 0.0) -> float:
        """Median distance in s of another topic's nearest stamps; inf where there are none.

        offset: s that is added to the other's stamps.
        """
        if not (self.count and other.count):
            return float("inf")
        near, _ = self._partners(other, offset)
        return float(np.median(np.abs(near))) * 1e-9

    def later(self, other: TopicStats, offset: float = 0.0) -> float:
        """By how many s another topic's messages of the same time arrive later, of 95 % of them."""
        if not (self.count and other.count):
            return 0.0
        _, came = self._partners(other, offset)
        return max(0.0, float(np.quantile(came, 0.95)) * 1e-9)

    def _partners(self, other: TopicStats, offset: float) -> tuple[np.ndarray, np.ndarray]:
        """Of the other's message nearest to each by stamp: how much later stamps and arrivals are.

        int64 (n,) each, ns.
        """
        shifted = np.asarray(other.stamps, np.int64) + round(offset * 1e9)
        order = np.argsort(shifted, kind="stable")
        theirs, came = shifted[order], np.asarray(other.log_times, np.int64)[order]
        mine = np.asarray(self.stamps, np.int64)
        after = theirs.searchsorted(mine).clip(1, max(1, len(theirs) - 1))
        after = np.minimum(after, len(theirs) - 1)
        before = np.maximum(after - 1, 0)
        nearer = np.abs(theirs[before] - mine) <= np.abs(theirs[after] - mine)
        at = np.where(nearer, before, after)
        return theirs[at] - mine, came[at] - np.asarray(self.log_times, np.int64)


def topic_stats(bag: BagReader) -> dict[str, TopicStats]:
    """Of every topic of a bag, by its name; walks the bag once and decodes nothing."""
    found = {
        topic: TopicStats(topic, kind, offers=bag.offers.get(topic, ()))
        for topic, kind in sorted(bag.topics.items())
    }
    for topic, _, log_time, data in bag.serialized():
        stats = found[topic]
        stats.count += 1
        stats.size += len(data)
        stats.log_times.append(log_time)
        stats.stamps.append(header_stamp(data) if len(data) >= STAMP_OFFSET + 8 else 0)
    return found
