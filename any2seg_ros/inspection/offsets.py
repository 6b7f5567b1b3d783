"""By how much the stamps of one sensor are late against another's, from how both turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from any2seg_ros.types import Modality

REACH, STEP = 0.25, 0.005
"""s: offsets that are looked for, and the grid on which they are."""
LAGS = np.arange(-round(REACH / STEP), round(REACH / STEP) + 1) * STEP
SLOWEST = 0.25
"""s between measurements, above which the motion between them is not known."""
UNSURE = 0.008
"""s: what is less certain is not told."""
_SMALL = 0.01
_FEWEST = 40
_AGREEMENT = 0.6
_OUTLIER = 4.0
_BINOMIAL = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
"""Low pass of both signals, at the slower one's interval: without it, the offset is drawn to where
samples coincide, for vibration that is faster than the sensors is sampled alike there."""
_BLOCK = 5
_RESAMPLED = 100
_FLOOR = 0.002
Score = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Of sums: scores and agreements at each lag, (lags,) each."""


@dataclass(frozen=True)
class TimeOffset:
    """The offset of a sensor, or why there is none."""

    modality: Modality
    against: Modality
    late: float = 0.0
    """s by which its stamps are late against those of `against`."""
    sigma: float = 0.0
    """s, standard deviation."""
    agreement: float = 0.0
    """Correlation at that offset, of the axis that agrees best."""
    unknown: str = ""
    """Why it cannot be told; empty where it can."""

    @property
    def is_significant(self) -> bool:
        """Whether it is more than chance, and worth a parameter."""
        return not self.unknown and abs(self.late) > max(3 * self.sigma, _SMALL)

    @property
    def text(self) -> str:
        """For tables: `+40 ± 3 ms`."""
        if self.unknown:
            return f"cannot tell: {self.unknown}"
        return f"{self.late * 1e3:+.0f} ± {self.sigma * 1e3:.0f} ms against {self.against.label}"


@dataclass(frozen=True, eq=False)
class Turns:
    """How a sensor turned, in axes that all sensors share.

    times: float64 (n,), s; turns: float64 (n, 3), rad, from the measurement before; NaN if unknown.
    """

    times: np.ndarray
    turns: np.ndarray

    @property
    def interval(self) -> float:
        """Median time between measurements in s; inf where there are too few."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else float("inf")


def turn_offset(one: tuple[Modality, Turns], other: tuple[Modality, Turns]) -> TimeOffset:
    """By how much `one` is late against `other`."""
    (modality, mine), (against, theirs) = one, other
    for name, turns in ((modality, mine), (against, theirs)):
        why = _unfit(turns)
        if why:
            return TimeOffset(modality, against, unknown=f"{name.label}: {why}")
    swapped = mine.interval > theirs.interval
    slow, fast = (mine, theirs) if swapped else (theirs, mine)
    steady, moved = _signals(slow, fast)
    if len(steady) < _FEWEST:
        return TimeOffset(modality, against, unknown="they overlap for too short a time")
    late, sigma, agreement = best_lag(_turn_sums(steady, moved), _turn_score)
    return judged(modality, against, -late if swapped else late, sigma, agreement)


def judged(
    modality: Modality, against: Modality, late: float, sigma: float, agreement: float
) -> TimeOffset:
    """The offset, or that it is not sure enough."""
    sigma = float(np.hypot(sigma, _FLOOR))
    why = ""
    if agreement < _AGREEMENT:
        why = (
            f"their motions do not agree within {REACH:g} s "
            f"(correlation {agreement:.2f}): it hardly turned, or a transform is wrong"
        )
    elif abs(late) > REACH - 2 * STEP:
        why = f"it is more than {REACH:g} s"
    elif sigma > UNSURE:
        about = f"{late * 1e3:+.0f} ± {sigma * 1e3:.0f} ms"
        why = f"it turned too little or for too short a time ({about})"
    return TimeOffset(modality, against, late, sigma, agreement, why)


def too_slow(interval: float) -> str:
    """Why motion cannot be followed between measurements so far apart (s); empty if it can."""
    if interval <= SLOWEST:
        return ""
    return (
        f"{1 / interval:.1f} Hz are too few to follow the motion ({1 / SLOWEST:.0f} Hz are needed)"
    )


def _unfit(turns: Turns) -> str:
    if not np.isfinite(turns.interval):
        return "no measurements"
    if why := too_slow(turns.interval):
        return why
    if len(turns.times) < _FEWEST:
        return f"{len(turns.times)} measurements are too few ({_FEWEST} are needed)"
    if np.isnan(turns.turns[1:]).any(1).mean() > 0.3:
        return "its motion cannot be followed"
    return ""


def _signals(slow: Turns, fast: Turns) -> tuple[np.ndarray, np.ndarray]:
    """Turns of both over the slower one's intervals: (n, 3), and (n, lags, 3) of the other."""
    reach = REACH + 2 * slow.interval
    begin, end = slow.times[:-1], slow.times[1:]
    inside = (begin >= fast.times[0] + reach) & (end <= fast.times[-1] - reach)
    inside &= (begin >= slow.times[0] + reach) & (end <= slow.times[-1] - reach)
    begin, end = begin[inside], end[inside]

    def turned(angles: Spline, lag: float) -> np.ndarray:
        total = np.zeros((len(begin), 3))
        for number, weight in enumerate(_BINOMIAL):
            shift = lag + (number - 2) * slow.interval
            total += weight * (angles(end + shift) - angles(begin + shift))
        return total

    if not len(begin):
        return np.empty((0, 3)), np.empty((0, len(LAGS), 3))
    others = _angles(fast)
    return turned(_angles(slow), 0.0), np.stack([turned(others, lag) for lag in LAGS], 1)


def _angles(turns: Turns) -> Spline:
    given = clipped(turns.turns[1:])
    return Spline(turns.times, np.vstack([np.zeros(3), np.cumsum(given, 0)]))


def clipped(values: np.ndarray) -> np.ndarray:
    """Columns of values (n, k) without outliers and holes."""
    middle = np.nanmedian(values, 0)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle), 0) + 1e-9
    kept = np.clip(values, middle - _OUTLIER * spread, middle + _OUTLIER * spread)
    return np.where(np.isnan(kept), middle, kept)


class Spline:
    """The natural cubic spline through values (n, k) at rising times (n,)."""

    def __init__(self, times: np.ndarray, values: np.ndarray) -> None:
        self._times, self._values, self._step = times, values, np.diff(times)
        step, count = self._step, len(times)
        matrix, right = np.eye(count), np.zeros(values.shape)
        at = np.arange(1, count - 1)
        matrix[at, at - 1], matrix[at, at + 1] = step[:-1], step[1:]
        matrix[at, at] = 2 * (step[:-1] + step[1:])
        slope = np.diff(values, axis=0) / step[:, None]
        right[1:-1] = 6 * (slope[1:] - slope[:-1])
        self._bend = np.linalg.solve(matrix, right)

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """Values (m, k) at times (m,)."""
        k = np.searchsorted(self._times, at).clip(1, len(self._times) - 1)
        step = self._step[k - 1][:, None]
        a = (self._times[k] - at)[:, None] / step
        b = 1 - a
        straight = a * self._values[k - 1] + b * self._values[k]
        bent = (a**3 - a) * self._bend[k - 1] + (b**3 - b) * self._bend[k]
        return straight + bent * step**2 / 6


def _turn_sums(steady: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """What correlations are made of, by interval: float64 (n, 6, lags, 3)."""
    steady = np.broadcast_to(steady[:, None], moved.shape)
    one = np.ones_like(moved)
    return np.stack([one, steady, moved, steady**2, moved**2, steady * moved], 1)


def _turn_score(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How well both agree at each lag (lags,), and the best axis's correlation (lags,)."""
    count, a, b, aa, bb, ab = sums
    spread = (aa / count - (a / count) ** 2) * (bb / count - (b / count) ** 2)
    together = (ab / count - a * b / count**2) / np.sqrt(np.maximum(spread, 1e-30))
    together = together.clip(0, 0.9999)
    # The likelihood of two signals with unknown gain and noise: each axis counts by its worth.
    return -0.5 * (count * np.log(1 - together**2)).sum(1), together.max(1)


def best_lag(sums: np.ndarray, score: Score, around: int = 1) -> tuple[float, float, float]:
    """The lag in s of the best score, its standard deviation, and the agreement there.

    sums: (n, ...) by interval; score: of their sum, scores and agreements (lags,). The deviation is
    of blocks of intervals, drawn with replacement. around: points beside the best one that its
    place is interpolated from.
    """
    blocks = max(2, len(sums) // _BLOCK)
    parts = np.stack([part.sum(0) for part in np.array_split(sums, blocks)])
    rng = np.random.default_rng(0)

    def place(weights: np.ndarray) -> tuple[float, float]:
        scores, agreement = score(np.tensordot(weights, parts, 1))
        return _peak(scores, around), float(agreement[int(scores.argmax())])

    late, agreement = place(np.ones(blocks))
    others = [
        place(np.bincount(rng.integers(0, blocks, blocks), minlength=blocks).astype(float))[0]
        for _ in range(_RESAMPLED)
    ]
    return late, float(np.std(others)), agreement


def _peak(scores: np.ndarray, around: int) -> float:
    best = int(scores.argmax())
    at = np.arange(max(0, best - around), min(len(scores), best + around + 1))
    if len(at) < 2 * around + 1:
        return float(LAGS[best])
    square, slope, _ = np.polyfit(at - best, scores[at], 2)
    shift = -slope / (2 * square) if square < 0 else 0.0
    return float(LAGS[best] + STEP * np.clip(shift, -around, around))
