"""The synchronizer's benchmark feeds it what a vehicle would."""

from __future__ import annotations

from collections import Counter

import pytest

from any2seg_ros.bench import synchronizer
from any2seg_ros.types import Modality


def test_messages_come_at_their_rate_in_order_of_arrival() -> None:
    messages = synchronizer._messages(seconds=2, event_rate=1000)
    counts = Counter(modality for modality, *_ in messages)
    assert counts == {m: 2000 if m == Modality.EVENT else 20 for m in Modality}
    arrivals = [now for *_, now in messages]
    assert arrivals == sorted(arrivals)
    assert all(0 <= now - stamp <= 5_200_000 for _, stamp, _, now in messages)


def test_the_cost_is_stated_in_dict_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronizer, "_REPEATS", 2)
    monkeypatch.setattr(synchronizer, "_SECONDS", 20)
    figures = synchronizer.run()
    stores = figures["message_us"] * 1e3 / figures["dict_store_ns"]
    assert figures["dict_stores_per_message"] == pytest.approx(stores)
    assert figures["dict_stores_per_message"] > 1
