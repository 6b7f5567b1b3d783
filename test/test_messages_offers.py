"""What the node asks of publishers."""

from __future__ import annotations

import pytest

from any2seg_ros.messages.offers import Offer, asked

SURE, UNSURE = Offer(True, False), Offer(False, False)
LATCHED = Offer(True, True)


@pytest.mark.parametrize(
    ("offers", "keeps", "asks"),
    [
        ((), False, UNSURE),
        ((SURE,), False, SURE),
        ((SURE, UNSURE), False, UNSURE),
        ((LATCHED,), True, LATCHED),
        ((LATCHED,), False, SURE),
        ((LATCHED, SURE), True, SURE),
        ((LATCHED, UNSURE), True, UNSURE),
    ],
)
def test_the_node_asks_for_what_all_offer(offers, keeps, asks):
    assert asked(offers, keeps) == asks
