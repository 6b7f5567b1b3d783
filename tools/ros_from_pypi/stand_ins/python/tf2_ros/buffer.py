"""Buffer: the tree of frames over time, with the interface of tf2_ros and the rules of tf2."""

from __future__ import annotations

import threading
import time as clock
from bisect import bisect_left, bisect_right
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.poses import Pose


class _Link:
    """The poses of a frame in its parent, by stamp."""

    def __init__(self, static: bool) -> None:
        self.static = static
        self.stamps: list[int] = []
        self.poses: list[tuple[str, Pose]] = []

    def insert(self, stamp: int, parent: str, pose: Pose, cache: int) -> bool:
        if self.static:
            self.stamps, self.poses = [0], [(parent, pose)]
            return True
        if self.stamps and stamp < self.stamps[-1] - cache:
            return False
        place = bisect_left(self.stamps, stamp)
        if place < len(self.stamps) and self.stamps[place] == stamp:
            self.poses[place] = (parent, pose)
        else:
            self.stamps.insert(place, stamp)
            self.poses.insert(place, (parent, pose))
        old = bisect_left(self.stamps, self.stamps[-1] - cache)
        del self.stamps[:old], self.poses[:old]
        return True

    def at(self, stamp: int | None, frame: str) -> tuple[str, Pose]:
        """Parent and interpolated pose at a stamp (ns; None: the latest)."""
        if self.static or stamp is None:
            return self.poses[-1]
        first, last = self.stamps[0], self.stamps[-1]
        if not first <= stamp <= last:
            way, bound = ("past", first) if stamp < first else ("future", last)
            raise ExtrapolationException(
                f"Lookup would require extrapolation into the {way}. Requested time {stamp} ns "
                f"but the {'earliest' if way == 'past' else 'latest'} data of '{frame}' is at "
                f"time {bound} ns"
            )
        after = bisect_right(self.stamps, stamp)
        parent, pose = self.poses[after - 1]
        if self.stamps[after - 1] == stamp or self.poses[after][0] != parent:
            return parent, pose
        begin, end = self.stamps[after - 1], self.stamps[after]
        return parent, pose.towards(self.poses[after][1], (stamp - begin) / (end - begin))


class Buffer:
    """Keeps transforms for `cache_time` (default 10 s) and answers lookups."""

    def __init__(self, cache_time: Duration | None = None, node: Any = None) -> None:
        self._cache = cache_time.nanoseconds if cache_time is not None else 10 * 10**9
        self._links: dict[str, _Link] = {}
        self._parents: set[str] = set()
        self._lock = threading.RLock()

    def set_transform(self, transform: TransformStamped, authority: str) -> bool:
        """Add a transform at its stamp; False if it is unusable or too old."""
        return self._insert(transform, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> bool:
        """Set a static transform; False if it is unusable."""
        return self._insert(transform, static=True)

    def _insert(self, transform: TransformStamped, static: bool) -> bool:
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        pose = Pose.from_msg(transform.transform)
        if not parent or not child or parent == child or not pose.valid:
            return False
        with self._lock:
            link = self._links.get(child)
            if link is None or link.static != static:
                link = self._links[child] = _Link(static)
            self._parents.add(parent)
            stamp = Time.from_msg(transform.header.stamp).nanoseconds
            return link.insert(stamp, parent, pose, self._cache)

    def clear(self) -> None:
        """Delete all transforms that are not static."""
        with self._lock:
            self._links = {name: link for name, link in self._links.items() if link.static}

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration | None = None,
    ) -> TransformStamped:
        """The transform of points from `source_frame` to `target_frame` at `time`.

        Time 0 asks for the latest time that all transforms of the chain have. Waits up to
        `timeout`. LookupException for an unknown frame, ConnectivityException for one that is
        not joined, ExtrapolationException outside the kept time, InvalidArgumentException for an
        empty name.
        """
        self._wait(target_frame, source_frame, time, timeout)
        return self.lookup_transform_core(target_frame, source_frame, time)

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: Time
    ) -> TransformStamped:
        """As lookup_transform, without waiting."""
        for name in (target_frame, source_frame):
            if not name or name.startswith("/"):
                raise InvalidArgumentException(
                    f"Invalid argument passed to lookupTransform: frame_id '{name}'"
                )
        with self._lock:
            for name in (target_frame, source_frame):
                if name not in self._links and name not in self._parents:
                    raise LookupException(
                        f'"{name}" passed to lookupTransform argument frame does not exist.'
                    )
            stamp = time.nanoseconds or self._latest_common(target_frame, source_frame)
            pose = self._pose(target_frame, source_frame, stamp)
        answer = TransformStamped()
        answer.header.stamp = Time(nanoseconds=stamp or 0).to_msg()
        answer.header.frame_id, answer.child_frame_id = target_frame, source_frame
        pose.fill(answer.transform)
        return answer

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration | None = None,
        return_debug_tuple: bool = False,
    ) -> Any:
        """Whether lookup_transform would succeed; with `return_debug_tuple` (success, reason)."""
        self._wait(target_frame, source_frame, time, timeout)
        able, reason = self._try(target_frame, source_frame, time)
        return (able, reason) if return_debug_tuple else able

    def _try(self, target: str, source: str, time: Time) -> tuple[bool, str]:
        try:
            self.lookup_transform_core(target, source, time)
        except TransformException as reason:
            return False, str(reason)
        return True, ""

    def _wait(self, target: str, source: str, time: Time, timeout: Duration | None) -> None:
        end = clock.monotonic() + (timeout.nanoseconds * 1e-9 if timeout is not None else 0.0)
        while clock.monotonic() < end and not self._try(target, source, time)[0]:
            clock.sleep(0.01)

    def _chain(self, frame: str, stamp: int | None) -> list[tuple[str, Pose]]:
        """(ancestor, pose of `frame` in it), from the frame itself up to the root."""
        pose = Pose.identity()
        chain = [(frame, pose)]
        seen = {frame}
        while frame in self._links:
            frame, step = self._links[frame].at(stamp, frame)
            if frame in seen:
                raise LookupException("The tf tree is invalid because it contains a loop.")
            seen.add(frame)
            pose = step @ pose
            chain.append((frame, pose))
        return chain

    def _pose(self, target: str, source: str, stamp: int | None) -> Pose:
        # A part of the tree above the common ancestor may lack the stamp: it is not asked.
        ups = dict(self._until(source, target, stamp))
        for ancestor, pose in self._until(target, source, stamp):
            if ancestor in ups:
                return pose.inverse() @ ups[ancestor]
        raise ConnectivityException(
            f"Could not find a connection between '{target}' and '{source}' because they are not "
            "part of the same tree. Tf has two or more unconnected trees."
        )

    def _until(self, frame: str, other: str, stamp: int | None) -> list[tuple[str, Pose]]:
        above = {name for name, _ in self._chain(other, None)}
        pose = Pose.identity()
        chain = [(frame, pose)]
        while frame not in above and frame in self._links:
            frame, step = self._links[frame].at(stamp, frame)
            pose = step @ pose
            chain.append((frame, pose))
        return chain

    def _latest_common(self, target: str, source: str) -> int | None:
        """The latest stamp that all moving links have in common; None if all are static."""
        ups, downs = self._names(source), self._names(target)
        shared = set(ups) & set(downs)
        between = [name for name in ups + downs if name not in shared]
        moving = [self._links[n] for n in between if n in self._links and not self._links[n].static]
        return min((link.stamps[-1] for link in moving), default=None)

    def _names(self, frame: str) -> list[str]:
        return [name for name, _ in self._chain(frame, None)]
