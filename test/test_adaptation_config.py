"""What an adaptation may be told, and what not."""

from __future__ import annotations

from pathlib import Path

import pytest

from any2seg_ros.adaptation.config import AdaptationConfig, Margins, TeachingConfig


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"bags": ()}, "--data"),
        ({"scope": "decoder"}, "scope is 'decoder', but must be one of all, adapters"),
        ({"minutes": 0}, "minutes is 0, but must be above 0"),
        ({"minutes": float("nan")}, "minutes is nan"),
        ({"frames": 0}, "frames"),
        ({"device": "tpu"}, "device"),
        ({"lr": 0.0}, "lr"),
        ({"seed": -1}, "seed"),
        ({"rounds": 0}, "rounds"),
        ({"batch_size": 1}, "batch_size"),
        ({"streets_share": 1.0}, "streets_share"),
        ({"topics": ("label=/truth",)}, "labels in bags are not read.*--labels"),
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
