"""Moves the measurements of Frames to their stamps, and says of which it could not, and why."""

from __future__ import annotations

from any2seg_ros.preprocessing.motion import moved_to, warm_up
from any2seg_ros.types import Events, Frame, Measurement, Modality, plain

NOT_MOVED = "not motion compensated"


def prepare() -> None:
    """Compile what moves sweeps, before the first Frame waits for it."""
    warm_up()


class MotionCompensation:
    """Belongs to the thread that prepares Frames.

    minimum_range: m, see `moved_to`. warnings, by sensor, for the log: the last reason why its
    measurements stayed as they were, or were moved less well than they might have been; what holds
    for one Frame is in its reasons.
    """

    def __init__(self, minimum_range: float) -> None:
        self._minimum_range = minimum_range
        self.warnings: dict[Modality, str] = {}

    def apply(
        self, measurement: Measurement, frame: Frame, at: int, reasons: dict[Modality, str]
    ) -> Measurement:
        """The measurement as it would be at the stamp of a Frame that has a trajectory.

        at: ns, when it was measured. Where that is not known it stays as it is, and `reasons` says
        so. Events stay: their window ends at the stamp.
        """
        trajectory, reference = frame.trajectory, frame.calibration.reference
        if trajectory is None or reference is None or isinstance(measurement.data, Events):
            return measurement
        try:
            return moved_to(
                measurement, trajectory, at, frame.stamp, reference, self._minimum_range
            )
        except LookupError as why:
            self._say(measurement.modality, f"{NOT_MOVED}: {plain(why, 200)}", reasons)
            return measurement

    def doubt(self, modality: Modality, why: str, reasons: dict[Modality, str]) -> None:
        """A measurement is moved as a whole, because of what is wrong with its times."""
        self._say(modality, f"moved as a whole: {why}", reasons)

    def _say(self, modality: Modality, text: str, reasons: dict[Modality, str]) -> None:
        reasons[modality] = "; ".join(filter(None, (reasons.get(modality), text)))
        self.warnings[modality] = text
