"""Ray casting with Intel Embree, eight rays at a time, from compiled loops.

The library is the one in the `embreex` wheel, whose own functions cast rays one by one.
"""

from __future__ import annotations

import ctypes
import weakref
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from embreex import rtcore_scene
from llvmlite import binding
from numba import types

from any2seg_ros.loops import compiled

WIDTH = 8
_INCOHERENT, _COHERENT = 0, 1 << 16
_INDEX, _VERTEX = 0, 1
_UINT3, _FLOAT3, _FLOAT3X4 = 0x5003, 0x9003, 0x9234
_TRIANGLES, _INSTANCE = 0, 121
# Rows of RTCRayHit8 in Embree 4: each row is eight 32-bit numbers.
_ORIGIN, _NEAR, _DIRECTION, _TIME, _FAR, _MASK = 0, 3, 4, 7, 8, 9
_NORMAL, _U, _V, _FACE, _SHAPE, _INSTANCE_ID, _ROWS = 12, 15, 16, 17, 18, 19, 22
_HANDLE, _NUMBER = ctypes.c_void_p, ctypes.c_uint
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "rtcNewDevice": (_HANDLE, (ctypes.c_char_p,)),
    "rtcNewScene": (_HANDLE, (_HANDLE,)),
    "rtcCommitScene": (None, (_HANDLE,)),
    "rtcReleaseScene": (None, (_HANDLE,)),
    "rtcNewGeometry": (_HANDLE, (_HANDLE, ctypes.c_int)),
    "rtcCommitGeometry": (None, (_HANDLE,)),
    "rtcReleaseGeometry": (None, (_HANDLE,)),
    "rtcSetSharedGeometryBuffer": (
        None,
        (
            _HANDLE, ctypes.c_int, _NUMBER, ctypes.c_int, _HANDLE,
            ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t,
        ),
    ),
    "rtcAttachGeometryByID": (None, (_HANDLE, _HANDLE, _NUMBER)),
    "rtcSetGeometryInstancedScene": (None, (_HANDLE, _HANDLE)),
    "rtcSetGeometryTransform": (None, (_HANDLE, _NUMBER, ctypes.c_int, _HANDLE)),
}  # fmt: skip


def _library(module: ModuleType) -> Any:
    """Embree, loaded by way of the extension module that links to it."""
    library = ctypes.CDLL(module.__file__)
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    for name in ("rtcIntersect8", "rtcOccluded8"):
        binding.add_symbol(name, ctypes.cast(getattr(library, name), _HANDLE).value)
    return library


_EMBREE = _library(rtcore_scene)
_CALL = types.void(types.intp, types.intp, types.intp, types.intp)
_intersect8 = types.ExternalFunction("rtcIntersect8", _CALL)
_occluded8 = types.ExternalFunction("rtcOccluded8", _CALL)


@lru_cache(maxsize=1)
def _device() -> int:
    # One thread: each worker process has one core.
    return _EMBREE.rtcNewDevice(b"threads=1")


class Bvh:
    """A bounding volume hierarchy of triangles; `handle` is the Embree scene."""

    def __init__(self, corners: np.ndarray) -> None:
        """Corners float32 (n, 3, 3), in metres."""
        # Embree reads 16 bytes at the last corner, which has 12.
        self._corners = np.zeros(corners.size + 4, np.float32)
        self._corners[: corners.size] = corners.ravel()
        self._index = np.arange(3 * len(corners), dtype=np.uint32)
        geometry = _EMBREE.rtcNewGeometry(_device(), _TRIANGLES)
        for kind, form, buffer in (
            (_VERTEX, _FLOAT3, self._corners),
            (_INDEX, _UINT3, self._index),
        ):
            count = len(corners) * (3 if kind == _VERTEX else 1)
            _EMBREE.rtcSetSharedGeometryBuffer(
                geometry, kind, 0, form, buffer.ctypes.data, 0, 12, count
            )
        self.handle = _scene([geometry])
        weakref.finalize(self, _EMBREE.rtcReleaseScene, self.handle)


class Instances:
    """BVHs at their poses: a mover keeps its BVH and gets a new pose."""

    def __init__(self, bvhs: list[Bvh], poses: np.ndarray, first: np.ndarray) -> None:
        """`poses` float32 (n, 3, 4): BVH to world; `first` int32 (n,): number of the first triangle
        of each BVH in the hits."""
        self._bvhs, self._first = bvhs, first
        columns = np.ascontiguousarray(poses.transpose(0, 2, 1), np.float32)
        geometries = []
        for bvh, matrix in zip(bvhs, columns, strict=True):
            geometry = _EMBREE.rtcNewGeometry(_device(), _INSTANCE)
            _EMBREE.rtcSetGeometryInstancedScene(geometry, bvh.handle)
            _EMBREE.rtcSetGeometryTransform(geometry, 0, _FLOAT3X4, matrix.ctypes.data)
            geometries.append(geometry)
        self.handle = _scene(geometries)
        weakref.finalize(self, _EMBREE.rtcReleaseScene, self.handle)

    def trace(
        self, origins: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The first hit of each unit ray.

        `origins` float32 (n, 3) or (1, 3), `directions` float32 (n, 3). Gives distance float32
        (n,), inf for a miss; triangle and instance int32 (n,), -1 for a miss; barycentric
        coordinates float32 (n, 2).
        """
        return _trace(self.handle, origins, directions, self._first, _COHERENT)

    def blocked(self, origins: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Whether the ray from each point (n, 3) in `direction` (3,) hits anything, bool (n,)."""
        return _blocked(self.handle, origins, direction, _COHERENT)


def _scene(geometries: list[int]) -> int:
    scene = _EMBREE.rtcNewScene(_device())
    for number, geometry in enumerate(geometries):
        _EMBREE.rtcCommitGeometry(geometry)
        _EMBREE.rtcAttachGeometryByID(scene, geometry, number)
        _EMBREE.rtcReleaseGeometry(geometry)
    _EMBREE.rtcCommitScene(scene)
    return scene


@compiled
def _aligned(rows):
    """float32 (rows, 8), aligned to 64 bytes."""
    raw = np.zeros(rows * WIDTH + 16, np.float32)
    skip = (64 - raw.ctypes.data % 64) % 64 // 4
    return raw[skip : skip + rows * WIDTH].reshape(rows, WIDTH)


@compiled
def _arguments(flags):
    """RTCIntersectArguments: flags, all features, no callbacks."""
    arguments = np.zeros(16, np.int32)
    arguments[0], arguments[1] = flags, -1
    return arguments


@compiled
def _load(rays, words, k, origin, direction):
    """Write an unbounded ray to column k; `words` is `rays` viewed as int32."""
    for axis in range(3):
        rays[_ORIGIN + axis, k] = origin[axis]
        rays[_DIRECTION + axis, k] = direction[axis]
    rays[_NEAR, k], rays[_FAR, k], words[_MASK, k] = 0.0, np.inf, -1


@compiled
def _trace(scene, origins, directions, numbers, flags):
    n = len(directions)
    distance, place = np.empty(n, np.float32), np.empty((n, 2), np.float32)
    instance, face = np.empty(n, np.int32), np.empty(n, np.int32)
    rays, arguments = _aligned(_ROWS), _arguments(flags)
    words, valid = rays.view(np.int32), _aligned(1).view(np.int32)
    several = len(origins) > 1
    for first in range(0, n, WIDTH):
        count = min(WIDTH, n - first)
        for k in range(WIDTH):
            valid[0, k] = -1 if k < count else 0
            i = first + min(k, count - 1)
            _load(rays, words, k, origins[i if several else 0], directions[i])
            words[_FACE, k] = words[_SHAPE, k] = words[_INSTANCE_ID, k] = -1
        _intersect8(valid.ctypes.data, scene, rays.ctypes.data, arguments.ctypes.data)
        for k in range(count):
            i = first + k
            distance[i], instance[i], face[i] = rays[_FAR, k], -1, -1
            place[i, 0], place[i, 1] = rays[_U, k], rays[_V, k]
            if words[_SHAPE, k] != -1:
                instance[i] = words[_INSTANCE_ID, k]
                face[i] = words[_FACE, k] + numbers[instance[i]]
    return distance, face, instance, place


@compiled
def _blocked(scene, origins, direction, flags):
    n = len(origins)
    shut = np.empty(n, np.bool_)
    rays, arguments = _aligned(_ROWS), _arguments(flags)
    words, valid = rays.view(np.int32), _aligned(1).view(np.int32)
    for first in range(0, n, WIDTH):
        count = min(WIDTH, n - first)
        for k in range(WIDTH):
            valid[0, k] = -1 if k < count else 0
            i = first + min(k, count - 1)
            _load(rays, words, k, origins[i], direction)
        _occluded8(valid.ctypes.data, scene, rays.ctypes.data, arguments.ctypes.data)
        for k in range(count):
            # Embree sets tfar of an occluded ray to -inf.
            shut[first + k] = rays[_FAR, k] < 0
    return shut
