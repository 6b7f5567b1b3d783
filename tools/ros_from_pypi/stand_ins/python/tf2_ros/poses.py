"""Rigid motions as a quaternion (x, y, z, w) and a translation in metres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def _multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])


def _rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    twice = 2.0 * np.cross(q[:3], v)
    return v + q[3] * twice + np.cross(q[:3], twice)


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a frame is in its parent: rotation float64 (4,), translation float64 (3,)."""

    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def identity(cls) -> Pose:
        return cls(np.array([0.0, 0.0, 0.0, 1.0]), np.zeros(3))

    @classmethod
    def from_msg(cls, transform: Any) -> Pose:
        """From a geometry_msgs/Transform."""
        r, t = transform.rotation, transform.translation
        return cls(np.array([r.x, r.y, r.z, r.w]), np.array([t.x, t.y, t.z]))

    @property
    def valid(self) -> bool:
        """Whether all numbers are finite and the quaternion has unit length, within 1 %."""
        numbers = np.concatenate([self.rotation, self.translation])
        return bool(np.isfinite(numbers).all() and abs(self.rotation @ self.rotation - 1) < 1e-2)

    def __matmul__(self, inner: Pose) -> Pose:
        """This pose composed with the pose `inner`, which is relative to it."""
        return Pose(
            _multiply(self.rotation, inner.rotation),
            self.translation + _rotate(self.rotation, inner.translation),
        )

    def inverse(self) -> Pose:
        back = self.rotation * [-1.0, -1.0, -1.0, 1.0]
        return Pose(back, -_rotate(back, self.translation))

    def towards(self, other: Pose, share: float) -> Pose:
        """Interpolate: linear in translation, spherical (the shorter way) in rotation."""
        translation = self.translation + share * (other.translation - self.translation)
        cosine = float(self.rotation @ other.rotation)
        end = other.rotation if cosine >= 0 else -other.rotation
        angle = np.arccos(min(abs(cosine), 1.0))
        if angle < 1e-6:
            rotation = self.rotation + share * (end - self.rotation)
        else:
            rotation = np.sin((1 - share) * angle) * self.rotation + np.sin(share * angle) * end
        return Pose(rotation / np.linalg.norm(rotation), translation)

    def fill(self, transform: Any) -> None:
        """Write into a geometry_msgs/Transform."""
        r, t = transform.rotation, transform.translation
        r.x, r.y, r.z, r.w = (float(number) for number in self.rotation)
        t.x, t.y, t.z = (float(number) for number in self.translation)
