"""Measures what a fault costs: the node under it, beside the same node just before and after."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from any2seg_ros.bench.faults.matrix import Fault
from any2seg_ros.bench.faults.scene import Scene
from any2seg_ros.bench.faults.vehicle import Heard, Mask
from any2seg_ros.types import Modality

RECOVERY_S = 40.0
"""Max time that is waited for the masks to be as they were."""
ENDS_S = 30.0
SETTLE_S = 0.5
"""Between the first mask that is as before and the control that follows."""

_FIGURES = ("rate", "others", "cost", "recovery, s", "memory, MiB", "control", "watched, s")


@dataclass(frozen=True)
class Outcome:
    """What became of the node under one fault. Shares are of the control's, next to the fault."""

    fault: str
    undone: str
    """Why the fault could not be made, or not as it was meant; empty if it was."""
    lived: bool
    """Whether the node lived, or ended as it has to."""
    exit_code: int | None
    said: str
    """The reason that was looked for; empty if it was not said."""
    silent: bool
    """Whether nothing of what has to be said was said."""
    rate: float | None
    """Masks a frame, of the control's; None where all sensors were taken away."""
    others: float | None
    """Use of the sensor that lost most of those that the fault does not hit, of the control's."""
    cost: float | None
    """Processor time of the node for each mask, of the control's; None without masks."""
    recovery_s: float | None
    """See `recovery_after`; None if no such mask came in time."""
    memory_mib: tuple[float, float]
    """Resident memory before the fault, and after the control that follows."""
    control: tuple[float, float]
    """Masks a frame before and after: where few, something else kept the machine busy."""
    flooded_mb_s: float | None
    """What was published on top of the usual, MB/s, where the fault is a flood."""
    reasons: list[str]
    """All that was said, the most frequent first."""
    seconds: float = 0.0
    """How long it was watched."""
    hasty: tuple[float | None, float | None] | None = None
    """`rate` and `others` of a shorter try that did not keep them; None if there was none."""

    @property
    def steady(self) -> bool:
        """Whether the node kept up in both controls: else the figures say little."""
        return min(self.control) >= 0.9

    def failures(self) -> list[str]:
        """Which promises were not kept; rates are judged only where the node could keep up."""
        found = [] if self.lived else [f"ended with {self.exit_code}"]
        if self.undone:
            found.append("not done")
        if self.silent:
            found.append("not said")
        if self.steady and self.rate is not None and self.rate < 0.95:
            found.append("rate")
        if self.steady and self.others is not None and self.others < 0.95:
            found.append("other sensors")
        ended = self.lived and self.exit_code is not None  # a new one has to start
        if not ended and (self.recovery_s is None or self.recovery_s > 1.0):
            found.append("recovery")
        return found

    @property
    def hasty_failure(self) -> bool:
        """Whether nothing but rates were missed: in three seconds two masks are seven percent."""
        return bool(self.failures()) and set(self.failures()) <= {"rate", "other sensors"}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "failures": self.failures()}


def observe(scene: Scene, seconds: float) -> Heard:
    """What the node says in so many seconds; ends early if it ends."""
    began = scene.process.cpu_seconds()
    scene.vehicle.fresh()
    scene.vehicle.wait(lambda: not scene.process.lives, seconds)
    heard = scene.vehicle.fresh()
    if scene.process.lives:
        heard.processor_s = scene.process.cpu_seconds() - began
    return heard


def measure(
    scene: Scene, fault: Fault, seconds: float, before: Heard, control_seconds: float
) -> tuple[Outcome, Heard]:
    """The outcome of a fault, and the control after it, which is the next one's before."""
    memory = scene.process.memory_mib()
    scene.new_log()
    scene.flooded, scene.held_up = None, ""
    usual = before.usual or frozenset(Modality)
    heard, undone = Heard(), ""
    try:
        with fault.make(scene):
            heard = observe(scene, ENDS_S if fault.ends_with is not None else seconds)
    except (RuntimeError, OSError) as error:
        undone = f"{type(error).__name__}: {error}"
    code = scene.process.code
    log = scene.new_log()
    ended = time.time_ns()
    if code is not None:
        scene.start()

    def recovery() -> float | None:
        return recovery_after(ended, scene.vehicle.heard.made, usual)

    scene.vehicle.wait(lambda: recovery() is not None, RECOVERY_S)
    recovery_s = recovery()
    time.sleep(SETTLE_S)
    after = observe(scene, control_seconds)
    log += scene.new_log() if code is None else []
    reasons = [text for text, _ in heard.said.most_common()] + _warnings(log)
    said = _first(fault.said, reasons)
    rate, others = shares(heard, before, after, fault.hit)
    outcome = Outcome(
        fault=fault.name,
        undone=undone or scene.held_up,
        lived=code == fault.ends_with,
        exit_code=code,
        said=said,
        silent=bool(fault.said) and not said and not scene.held_up,
        rate=rate,
        others=others,
        cost=_cost(heard, before, after),
        recovery_s=None if recovery_s is None else round(recovery_s, 2),
        memory_mib=(round(memory), round(scene.process.memory_mib())),
        control=(round(before.rate, 2), round(after.rate, 2)),
        flooded_mb_s=None if scene.flooded is None else round(scene.flooded, 1),
        reasons=reasons[:12],
        seconds=seconds,
    )
    return outcome, after


def recovery_after(ended: int, masks: Iterable[Mask], alive: frozenset[Modality]) -> float | None:
    """s from the end of a fault to the first mask that is stamped later and uses all of `alive`.

    ended: ns on the clock of the stamps. What was under way then does not count, nor what a fault
    stamped ahead of the clock.
    """
    heard = (m.heard for m in masks if ended < m.stamp <= m.heard and m.used >= alive)
    first = min(heard, default=None)
    return None if first is None else (first - ended) * 1e-9


def shares(
    heard: Heard, before: Heard, after: Heard, hit: frozenset[Modality]
) -> tuple[float | None, float | None]:
    """Rate and the least use of the sensors that are not hit, of the mean of both controls.

    More than a mask a frame is none of the control's: it was under way when its time began.
    """
    usual = (before.usual or after.usual) - hit
    if not usual:
        return None, None
    uses = [_share(heard.use(m), _usual(before.use(m), after.use(m))) for m in sorted(usual)]
    return _share(heard.rate, _usual(before.rate, after.rate)), min(uses)


def _usual(before: float, after: float) -> float:
    return 0.5 * (min(before, 1.0) + min(after, 1.0))


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a table in markdown."""
    head = ("fault", "lived", "said", *_FIGURES, "not kept")
    rows = [_row(outcome) for outcome in outcomes]
    lines = [head, ["---"] * 3 + ["---:"] * len(_FIGURES) + ["---"], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _row(outcome: Outcome) -> list[str]:
    ended = "" if outcome.exit_code is None else f"ended with {outcome.exit_code}"
    shares = (outcome.rate, outcome.others, outcome.cost)
    return [
        outcome.fault,
        ended or "yes",
        outcome.said.replace("|", "/")[:90] or "–",
        *(_percent(share) for share in shares),
        _percent(outcome.recovery_s),
        "{:.0f} → {:.0f}".format(*outcome.memory_mib),
        "{:.2f}, {:.2f}".format(*outcome.control),
        f"{outcome.seconds:.0f}",
        ", ".join(outcome.failures()),
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.2f}"


def _cost(heard: Heard, before: Heard, after: Heard) -> float | None:
    control = 0.5 * (before.cost + after.cost)
    return round(heard.cost / control, 2) if heard.masks and control and heard.cost else None


def _share(value: float, of: float) -> float:
    return round(value / of, 3) if of > 0 else 0.0


def _first(pattern: str, reasons: Sequence[str]) -> str:
    if not pattern:
        return ""
    return next((text for text in reasons if re.search(pattern, text)), "")


def _warnings(log: Sequence[str]) -> list[str]:
    lines = [line for line in log if "[WARN]" in line or "[ERROR]" in line or "[FATAL]" in line]
    return list(dict.fromkeys("log: " + line.rsplit("]: ", 1)[-1] for line in lines))
