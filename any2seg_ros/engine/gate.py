"""Which sensors of a frame are to be believed: those whose features look as they did in training.

A sensor from another world, or one that says nothing, costs the others what they know: MFF weighs
sensors by how much they agree, and has no parameters to learn whom to doubt. The gate is a linear
function of each sensor's features, fitted on frames with broken and foreign sensors to tell how
much better or worse the mask is with the sensor than without. A sensor that would do harm is left
out of the fusion, as if it were not there: what is left is what the network does without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from any2seg_ros.types import Modality, Subset


@dataclass(frozen=True, eq=False)
class Gate:
    """The worth of each sensor, from `statistics` of its features.

    mean and scale (F,): what statistics are normalised by. weights (F,) and bias: by the number of
    sensors that are there, 2 to 4. margin: a sensor is left out when its worth is less than minus
    this; what worth is measured in, see `any2seg_ros.training.gate_fitting`.
    """

    mean: Mapping[Modality, np.ndarray] = field(default_factory=dict)
    scale: Mapping[Modality, np.ndarray] = field(default_factory=dict)
    weights: Mapping[Modality, np.ndarray] = field(default_factory=dict)
    bias: Mapping[Modality, np.ndarray] = field(default_factory=dict)
    margin: float = 0.0

    @classmethod
    def from_metadata(cls, words: Mapping[str, Any]) -> Gate:
        """The gate that a checkpoint's metadata describe; one that believes everyone for {}."""
        own = {Modality.parse(name): part for name, part in words.items() if name != "margin"}

        def array(key: str) -> dict[Modality, np.ndarray]:
            return {m: np.asarray(part[key], np.float32) for m, part in own.items()}

        return cls(
            array("mean"), array("scale"), array("weights"), array("bias"),
            float(words.get("margin", 0.0)),
        )  # fmt: skip

    def metadata(self) -> dict[str, Any]:
        """What `from_metadata` reads; numbers are rounded to what decides."""
        parts = {"mean": self.mean, "scale": self.scale, "weights": self.weights, "bias": self.bias}
        return {"margin": self.margin} | {
            m.label: {k: [float(f"{v:.5g}") for v in part[m]] for k, part in parts.items()}
            for m in self.weights
        }

    def worth(self, modality: Modality, statistics: np.ndarray, among: int) -> float:
        """How much better the mask is with this sensor, one of so many; 0 where it is not known."""
        if modality not in self.weights or among < 2:
            return 0.0
        normalised = (statistics - self.mean[modality]) / self.scale[modality]
        normalised = np.clip(normalised, -8, 8)
        bias = self.bias[modality][min(among, 4) - 2]
        return float(normalised @ self.weights[modality] + bias)

    def believed(self, statistics: Mapping[Modality, np.ndarray]) -> Subset:
        """The sensors that are worth their place: the worst is left out, then the next, as long as
        one does harm and another stays."""
        subset = list(sorted(statistics))
        while len(subset) > 1:
            worths = {m: self.worth(m, statistics[m], len(subset)) for m in subset}
            worst = min(worths, key=lambda m: worths[m])
            if worths[worst] >= -self.margin:
                break
            subset.remove(worst)
        return tuple(subset)


def statistics(maps: Sequence[np.ndarray]) -> np.ndarray:
    """The mean and the spread of every channel of the four maps (C, h, w): float32 (2 C,)."""
    parts = []
    for features in maps:
        flat = np.asarray(features, np.float32).reshape(len(features), -1)
        parts += [flat.mean(1), flat.std(1)]
    return np.concatenate(parts)
