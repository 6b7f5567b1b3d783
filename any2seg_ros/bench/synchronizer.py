"""Times the synchronizer per message, in stores to a Python dict of the same run."""

from __future__ import annotations

import random
import time
from typing import Any

from any2seg_ros.runtime.synchronizer import Synchronizer, SynchronizerConfig
from any2seg_ros.types import Modality

SECTION = "synchronizer"

_REPEATS = 150
_SECONDS = 100
_STORES = 200_000


def run() -> dict[str, Any]:
    """`dict_stores_per_message` of four topics at 10 Hz, and of three beside 1000 event packets/s.

    CPU time of this thread, best of many rounds.
    """
    four = _messages(_SECONDS, event_rate=10)
    many = _messages(_SECONDS // 20, event_rate=1000)
    # Alternating, so that other load on the machine affects all alike.
    rounds = [(_time_stores(), _time_messages(four), _time_messages(many)) for _ in range(_REPEATS)]
    store, per_message, per_packet = (min(times) for times in zip(*rounds, strict=True))
    return {
        "dict_stores_per_message": per_message / store,
        "dict_stores_per_message_with_1000_packets_a_second": per_packet / store,
        "message_us": per_message * 1e6,
        "dict_store_ns": store * 1e9,
    }


def _time_stores() -> float:
    table: dict[int, int] = {}
    keys = list(range(1000)) * (_STORES // 1000)
    start = time.thread_time()
    for key in keys:
        table[key] = key
    return (time.thread_time() - start) / len(keys)


def _messages(seconds: int, event_rate: int) -> list[tuple[Modality, int, object, int]]:
    """(modality, stamp, message, now) at 10 Hz, with jitter and delay, by arrival."""
    generator = random.Random(1)
    rows = []
    for modality in Modality:
        rate = event_rate if modality == Modality.EVENT else 10
        for k in range(seconds * rate):
            stamp = 1_000_000_000 + k * 1_000_000_000 // rate + generator.randrange(200_000)
            rows.append((modality, stamp, object(), stamp + generator.randrange(5_000_000)))
    events = [row for row in rows if row[0] == Modality.EVENT]
    arrivals = sorted(row[3] for row in events)
    rows[-len(events) :] = [
        (*row[:3], arrival) for row, arrival in zip(events, arrivals, strict=True)
    ]
    return sorted(rows, key=lambda row: row[3])


def _time_messages(messages: list[tuple[Modality, int, object, int]]) -> float:
    synchronizer = Synchronizer(SynchronizerConfig())
    add = synchronizer.add
    start = time.thread_time()
    for modality, stamp, message, now in messages:
        add(modality, stamp, message, now)
    return (time.thread_time() - start) / len(messages)
