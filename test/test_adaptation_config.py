"""What an adaptation may be told, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from any2seg_ros.adaptation.config import AdaptationConfig, Margins, TeachingConfig


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bags": ()}, "--data"),
        ({"scope": "decoder"}, "all or adapters"),
        ({"minutes": 0}, "--minutes"),
        ({"streets_share": 1.0}, "streets_share"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    given = {"bags": (Path("drive"),), "out": Path("out"), **changes}
    with pytest.raises(ValueError, match=said):
        AdaptationConfig(**given)


def test_shares_and_margins_are_bounded():
    with pytest.raises(ValueError, match="share"):
        TeachingConfig(share=0)
    with pytest.raises(ValueError, match="streets_full"):
        Margins(streets_full=-1)
