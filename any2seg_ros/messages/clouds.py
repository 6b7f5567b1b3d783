"""sensor_msgs/PointCloud2 to points, and labelled points back to PointCloud2 fields."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from any2seg_ros.messages.buffers import as_bytes, from_array
from any2seg_ros.preprocessing.intensity import IntensityScale
from any2seg_ros.types import InvalidMeasurement, plain

# PointField.datatype
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_LARGEST = 20_000_000


def view_cloud(msg: Any, names: tuple[str, ...] | None = None) -> np.ndarray:
    """The fields of a PointCloud2 as a structured array (height, width) on the message's bytes.

    Only the fields in `names` that the cloud has; None takes all. Fields of several elements are
    sub-arrays. Any order of fields and bytes, any padding.
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


def _dtype(msg: Any, names: tuple[str, ...] | None, point_step: int) -> np.dtype:
    order = ">" if msg.is_bigendian else "<"
    fields: dict[str, tuple[Any, int]] = {}
    for field in msg.fields:
        if names is not None and field.name not in names:
            continue
        if int(field.datatype) not in _TYPES:
            raise InvalidMeasurement(f"cloud field '{plain(field.name)}' has an unknown type")
        scalar = np.dtype(order + _TYPES[int(field.datatype)])
        count = max(1, int(field.count))
        if not 0 <= int(field.offset) <= point_step - scalar.itemsize * count:
            raise InvalidMeasurement(f"cloud field '{plain(field.name)}' lies outside its point")
        fields[field.name] = (scalar if count == 1 else (scalar, (count,)), int(field.offset))
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": point_step,
        }
    )


def decode_cloud(msg: Any, intensity: IntensityScale | None = None) -> np.ndarray:
    """The points of a PointCloud2: float32 (n, 4), x, y, z in metres and intensity in 0..1.

    Points with a coordinate that is not finite, and those at (0, 0, 0), are dropped: drivers write
    both where nothing came back. `intensity` knows which field is the intensity and its scale, from
    the clouds before; without it, this cloud alone tells. It is 0 where there is none.
    InvalidMeasurement for clouds without x, y, z and for clouds without a point.
    """
    intensity = intensity or IntensityScale()
    points = view_cloud(msg, ("x", "y", "z", *intensity.names))
    given = points.dtype.names or ()
    if not {"x", "y", "z"} <= set(given):
        raise InvalidMeasurement("cloud lacks one of the fields x, y and z")
    cloud = np.empty((points.shape[0], points.shape[1], 4), np.float32)
    with np.errstate(all="ignore"):
        for column, name in enumerate("xyz"):
            if points.dtype[name].shape:
                raise InvalidMeasurement(f"cloud field '{plain(name)}' has several elements")
            cloud[..., column] = points[name]
    names = [name for name in given if name not in "xyz" and not points.dtype[name].shape]
    chosen = intensity.choose({name: points[name] for name in names})
    if chosen is None:
        cloud[..., 3] = 0.0
    else:
        intensity.apply(points[chosen], cloud[..., 3])
    return _returned(cloud.reshape(-1, 4))


def _returned(cloud: np.ndarray) -> np.ndarray:
    """Without the points where nothing came back: not finite, or at the sensor itself."""
    with np.errstate(all="ignore"):
        total = cloud[:, 0] + cloud[:, 1]
        total += cloud[:, 2]
        keep = np.isfinite(total)
    nowhere = np.flatnonzero(total == 0)
    if len(nowhere):
        keep[nowhere] = cloud[nowhere, :3].any(axis=1)
    if keep.all():
        return cloud
    cloud = cloud[keep]
    if len(cloud) == 0:
        raise InvalidMeasurement("cloud has no point with finite coordinates, or all are (0, 0, 0)")
    return cloud


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


def cloud_fields(points: np.ndarray, field: Any) -> dict[str, Any]:
    """The fields of a sensor_msgs/PointCloud2 but its header, as plain Python values.

    `points` of dtype LABELLED_POINT (n,); `field` makes a PointField: the message class, called
    with name, offset, datatype and count.
    """
    fields = [
        field(name=name, offset=offset, datatype=datatype, count=1)
        for name, _, offset, datatype in _LABELLED
    ]
    return {
        "height": 1,
        "width": len(points),
        "fields": fields,
        "is_bigendian": sys.byteorder == "big",
        "point_step": LABELLED_POINT.itemsize,
        "row_step": LABELLED_POINT.itemsize * len(points),
        "data": from_array(points.view(np.uint8)),
        "is_dense": True,
    }
