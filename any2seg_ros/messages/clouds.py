"""sensor_msgs/PointCloud2 to points, and labelled points back to PointCloud2.

Where a ROS is, sensor_msgs_py says what a point is made of and makes clouds for rclpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from any2seg_ros.messages.buffers import as_bytes, from_array
from any2seg_ros.messages.kinds import CLOUD, HEADER, POINT_FIELD, message_class
from any2seg_ros.messages.making import Make
from any2seg_ros.messages.point_times import NONE, fields_to_read, point_times
from any2seg_ros.preprocessing.intensity import IntensityScale
from any2seg_ros.types import InvalidMeasurement, plain

# PointField.datatype
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_READ_TYPES = {**_TYPES, 9: "i8", 10: "u8"}
"""With those that some drivers go on with, and sensor_msgs_py does not know."""
_COORDINATES = ("x", "y", "z")
_LARGEST = 20_000_000
_FIELDS = 1000
"""Fields of a point at most, the elements of a field counted each."""


def view_cloud(msg: Any, names: tuple[str, ...] | None = None) -> np.ndarray:
    """The fields of a PointCloud2 as a structured array (height, width) on the message's bytes.

    Only the fields in `names` that the cloud has; None takes all. A field of several elements
    becomes name_0, name_1 and so on. Any order of fields and bytes, any padding.
    InvalidMeasurement for data that do not fit.
    """
    height, width = int(msg.height), int(msg.width)
    point_step, row_step = int(msg.point_step), int(msg.row_step)
    if height * width > _LARGEST or height < 0 or width < 0:
        raise InvalidMeasurement(f"cloud has an absurd size: {width}x{height}")
    if height * width == 0:
        raise InvalidMeasurement("cloud is empty")
    data = as_bytes(msg.data)
    # Drivers write 0, or the bytes of the whole cloud: where rows follow each other without
    # padding, no row_step is needed.
    if height == 1 or len(data) == point_step * width * height:
        row_step = point_step * width
    if point_step <= 0 or row_step < point_step * width:
        raise InvalidMeasurement("cloud rows are too short for their points")
    needed = row_step * (height - 1) + point_step * width
    if len(data) < needed:
        raise InvalidMeasurement(f"cloud data are truncated: {len(data)} of {needed} bytes")
    dtype = _dtype(msg, names, point_step)
    return np.ndarray((height, width), dtype, data, 0, (row_step, point_step))


@dataclass(frozen=True)
class _Field:
    """What a PointField says, in Python's numbers; count is at least 1."""

    name: str
    offset: int
    datatype: int
    count: int


def _dtype(msg: Any, names: tuple[str, ...] | None, point_step: int) -> np.dtype:
    if len(msg.fields) > _FIELDS:
        raise InvalidMeasurement(f"cloud has {len(msg.fields)} fields, at most {_FIELDS}")
    fields = [
        _Field(field.name, int(field.offset), int(field.datatype), max(1, int(field.count)))
        for field in msg.fields
        if names is None or field.name in names
    ]
    # What is not needed for the points themselves may be anything.
    fields = [one for one in fields if one.datatype in _READ_TYPES or one.name in _COORDINATES]
    for field in fields:
        if field.datatype not in _READ_TYPES:
            raise InvalidMeasurement(f"cloud field '{plain(field.name)}' has an unknown type")
        size = int(_READ_TYPES[field.datatype][1]) * field.count
        if not 0 <= field.offset <= point_step - size:
            raise InvalidMeasurement(f"cloud field '{plain(field.name)}' lies outside its point")
        if field.count > 1 and field.name in _COORDINATES:
            raise InvalidMeasurement(f"cloud field '{plain(field.name)}' has several elements")
    own = any(field.datatype not in _TYPES for field in fields)
    make = _own_dtype_from_fields if own else _dtype_from_fields()
    elements = sum(field.count for field in fields)
    if elements > _FIELDS:
        raise InvalidMeasurement(f"cloud has fields of {elements} elements, at most {_FIELDS}")
    try:
        dtype = make(fields, point_step)
    except (AssertionError, ValueError) as error:
        raise InvalidMeasurement("cloud has two fields of one name") from error
    foreign = bool(msg.is_bigendian) != (sys.byteorder == "big")
    return dtype.newbyteorder() if foreign else dtype


@cache
def _library() -> Any:
    """sensor_msgs_py.point_cloud2; None where no ROS is."""
    try:
        from sensor_msgs_py import point_cloud2
    except ImportError:
        return None
    return point_cloud2


def _dtype_from_fields() -> Callable[[Iterable[Any], int], np.dtype]:
    library = _library()
    return _own_dtype_from_fields if library is None else library.dtype_from_fields


def _own_dtype_from_fields(fields: Iterable[_Field], point_step: int) -> np.dtype:
    """What sensor_msgs_py's function of that name makes, for machines without a ROS."""
    parts = [
        (f"{field.name}_{part}" if field.count > 1 else field.name, kind, field.offset + at)
        for field in fields
        for kind in [np.dtype(_READ_TYPES[field.datatype])]
        for part, at in enumerate(range(0, field.count * kind.itemsize, kind.itemsize))
    ]
    return np.dtype(
        {
            "names": [name for name, _, _ in parts],
            "formats": [kind for _, kind, _ in parts],
            "offsets": [offset for _, _, offset in parts],
            "itemsize": point_step,
        }
    )


class Sweep(NamedTuple):
    """A cloud and when its points were measured.

    points: see `decode_cloud`. times: float32 (n,), s after the cloud's stamp; None where it does
    not tell, and `doubt` then says why, unless it has no such field.
    """

    points: np.ndarray
    times: np.ndarray | None
    doubt: str = ""


def decode_cloud(msg: Any, intensity: IntensityScale | None = None) -> np.ndarray:
    """The points of a PointCloud2: float32 (n, 4), x, y, z in metres and intensity in 0..1.

    Points with a coordinate that is not finite, and those at (0, 0, 0), are dropped: drivers write
    both where nothing came back. `intensity` knows which field is the intensity and its scale, from
    the clouds before; without it, this cloud alone tells. It is 0 where there is none.
    InvalidMeasurement for clouds without x, y, z and for clouds without a point.
    """
    return decode_sweep(msg, intensity, NONE, 0).points


def decode_sweep(msg: Any, intensity: IntensityScale | None, time_field: str, stamp: int) -> Sweep:
    """A PointCloud2 as `decode_cloud` has it, and the times of its points.

    time_field: name of the field, `auto` or `none`, see `point_times`. stamp: its header's, ns.
    """
    intensity = intensity or IntensityScale()
    timed = fields_to_read(time_field)
    points = view_cloud(msg, ("x", "y", "z", *intensity.names, *timed))
    given = points.dtype.names or ()
    if not {"x", "y", "z"} <= set(given):
        has = plain(", ".join(str(field.name) for field in msg.fields)) or "none"
        raise InvalidMeasurement(f"cloud lacks one of the fields x, y and z: it has {has}")
    raster = np.empty((points.shape[0], points.shape[1], 4), np.float32)
    with np.errstate(all="ignore"):
        for column, name in enumerate("xyz"):
            raster[..., column] = points[name]
    names = [name for name in given if name in intensity.names]
    chosen = intensity.choose({name: points[name] for name in names})
    if chosen is None:
        raster[..., 3] = 0.0
    else:
        intensity.apply(points[chosen], raster[..., 3])
    cloud = raster.reshape(-1, 4)
    kept = _returned(cloud)
    cloud = cloud if kept is None else cloud[kept]
    field = next((name for name in timed if name in given), None)
    if field is None:
        return Sweep(cloud, None)
    values = points[field].reshape(-1)
    try:
        return Sweep(cloud, point_times(values if kept is None else values[kept], field, stamp))
    except ValueError as reason:
        return Sweep(cloud, None, str(reason))


def _returned(cloud: np.ndarray) -> np.ndarray | None:
    """Which points of a cloud (n, 4) came back, bool (n,): None for all.

    Where nothing did, they are not finite, or at the sensor itself.
    """
    with np.errstate(all="ignore"):
        total = cloud[:, 0] + cloud[:, 1]
        total += cloud[:, 2]
        keep = np.isfinite(total)
    nowhere = np.flatnonzero(total == 0)
    if len(nowhere):
        keep[nowhere] = cloud[nowhere, :3].any(axis=1)
    if keep.all():
        return None
    if not keep.any():
        raise InvalidMeasurement("cloud has no point with finite coordinates, or all are (0, 0, 0)")
    return keep


# name, dtype, offset, PointField.datatype. RViz reads the bytes of rgb as those of a float32;
# class_id is padded to four bytes, so that confidence lies where a float should.
_LABELLED = (
    ("x", "<f4", 0, 7),
    ("y", "<f4", 4, 7),
    ("z", "<f4", 8, 7),
    ("rgb", "<u4", 12, 7),
    ("class_id", "<u2", 16, 4),
    ("confidence", "<f4", 20, 7),
)
_names, _formats, _offsets, _ = zip(*_LABELLED, strict=True)
LABELLED_POINT = np.dtype(
    {"names": _names, "formats": _formats, "offsets": _offsets, "itemsize": 24}
)


def labelled_points(
    xyz: np.ndarray, rgb: np.ndarray, class_id: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Points for cloud_fields: xyz float32 (n, 3) m, rgb uint8 (n, 3), class ids, confidence 0..1.

    `rgb` is packed as PCL and RViz want it: 0x00RRGGBB in the bytes of a float.
    """
    points = np.zeros(len(xyz), LABELLED_POINT)
    points["x"], points["y"], points["z"] = xyz.T
    red, green, blue = rgb.T.astype(np.uint32)
    points["rgb"] = (red << 16) | (green << 8) | blue
    points["class_id"] = class_id
    points["confidence"] = confidence
    return points


def labelled_cloud(make: Make, header: Any, points: np.ndarray) -> Any:
    """A sensor_msgs/PointCloud2 of `points` of dtype LABELLED_POINT (n,) or (h, w), with `header`.

    make: rclpy's message classes or a bag's; for rclpy it is sensor_msgs_py's create_cloud.
    """
    library = _library()
    field = partial(make, POINT_FIELD)
    # create_cloud of some distributions cannot cast what has no points.
    organized = points.ndim == 2
    if (
        library is None
        or organized
        or not len(points)
        or not isinstance(header, message_class(HEADER))
    ):
        return make(CLOUD, header=header, **cloud_fields(points, field))
    fields = _point_fields(field)
    cloud = library.create_cloud(header, fields, points.view(library.dtype_from_fields(fields)))
    cloud.is_dense = True
    return cloud


def _point_fields(field: Any) -> list[Any]:
    return [
        field(name=name, offset=offset, datatype=datatype, count=1)
        for name, _, offset, datatype in _LABELLED
    ]


def cloud_fields(points: np.ndarray, field: Any) -> dict[str, Any]:
    """The fields of a sensor_msgs/PointCloud2 but its header, as plain Python values.

    `points` of dtype LABELLED_POINT (n,), or organized (h, w) with NaN; `field` makes a
    PointField: the message class, called with name, offset, datatype and count.
    """
    height, width = points.shape if points.ndim == 2 else (1, len(points))
    return {
        "height": height,
        "width": width,
        "fields": _point_fields(field),
        "is_bigendian": sys.byteorder == "big",
        "point_step": LABELLED_POINT.itemsize,
        "row_step": LABELLED_POINT.itemsize * width,
        "data": from_array(points.ravel().view(np.uint8)),
        "is_dense": points.ndim == 1 or bool(np.isfinite(points["z"]).all()),
    }
