"""Expected mIoU when sensors fail at random: EMM, RMM and NM (Liao et al., 2025).

EMM E(p): every modality is missing with probability p, independently; the empty set is left out:

    E(p) = sum_S p^k (1-p)^(M-k) mIoU_S / sum_S p^k (1-p)^(M-k),    k = M - |S|

RMM: the same, where a "missing" modality is there with a fraction r of its elements zeroed. Of both
the plain mean over the subsets (Avg) and E(p) are published. NM: noise of three strengths on all
modalities, see `noise.nm`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from any2seg_ros.types import Subset

MISSING_PROBABILITIES = (0.2, 0.1, 0.05)
ZEROED_FRACTIONS = (0.25, 0.5, 0.75)
NOISE_LEVELS = ("low", "mid", "high")


def expected_miou(miou: Mapping[Subset, float], probability: float) -> float:
    """E(p) of the mIoU of every non-empty subset of M modalities; the result has their unit.

    ValueError where a subset is absent from the table: an expectation over a part is none.
    """
    modalities = len({modality for subset in miou for modality in subset})
    if len(miou) != 2**modalities - 1:
        raise ValueError(f"{len(miou)} subsets are not all {2**modalities - 1} of {modalities}")
    weights = {
        subset: probability ** (modalities - len(subset)) * (1 - probability) ** len(subset)
        for subset in miou
    }
    total = sum(weights[subset] * miou[subset] for subset in miou)
    return total / sum(weights.values())


def expectations(miou: Mapping[Subset, float]) -> dict[str, float]:
    """The plain `average` over the subsets, and E(p) by p as text, for the p of the literature."""
    values = {f"{p:g}": expected_miou(miou, p) for p in MISSING_PROBABILITIES}
    return {"average": float(np.mean(list(miou.values()))), **values}
