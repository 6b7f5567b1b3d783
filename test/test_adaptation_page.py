"""The report of an adaptation."""

from __future__ import annotations

import json

import numpy as np
from test_adaptation_judging import BEFORE as OLD
from test_adaptation_judging import changed

from any2seg_ros.adaptation.config import Margins
from any2seg_ros.adaptation.page import Moment, adaptation_page
from any2seg_ros.adaptation.result import BEFORE, choose
from any2seg_ros.taxonomy import DELIVER

MADE_OF = {
    "parent": {"file": "old.safetensors", "sha256": "abc"},
    "bags": {"drive/drive.mcap": "def"},
    "options": {"minutes": 4.0},
    "revision": "r",
}


def page(judged) -> str:
    picture = np.zeros((4, 6, 3), np.uint8)
    moment = Moment("drive/17", None, picture, {"lidar": (picture, picture)})
    return adaptation_page(
        choose(judged, Margins()), json.loads(json.dumps(MADE_OF)), [moment], DELIVER
    )


def test_it_says_what_changed_and_what_it_was_made_of():
    text = page({BEFORE: OLD, "round 1": changed()})
    for expected in ("new: round 1", "+10.0", "lidar before", "drive/17", "abc", "def", "minutes"):
        assert expected in text


def test_it_says_why_the_old_weights_stay():
    text = page({BEFORE: OLD, "round 1": changed(streets={"rgb": 20.0})})
    assert "The old weights stay" in text and "each sensor alone on Streets val" in text
