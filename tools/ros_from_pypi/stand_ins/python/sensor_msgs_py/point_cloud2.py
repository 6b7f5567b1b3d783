"""PointCloud2 to NumPy and back, with the interface of sensor_msgs_py.point_cloud2."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

_TYPES = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The structured dtype of one point; a field of count n > 1 becomes name_0 ... name_n-1."""
    names: list[str] = []
    formats: list[np.dtype] = []
    offsets: list[int] = []
    for position, field in enumerate(fields):
        base = field.name or f"unnamed_field_{position}"
        kind = _TYPES[field.datatype]
        assert field.count > 0, "Can't process fields with count = 0."
        for part in range(field.count):
            names.append(base if field.count == 1 else f"{base}_{part}")
            formats.append(kind)
            offsets.append(field.offset + part * kind.itemsize)
    assert len(set(names)) == len(names), "Duplicate field names are not allowed!"
    layout = {"names": names, "formats": formats, "offsets": offsets}
    if point_step is not None:
        layout["itemsize"] = point_step
    return np.dtype(layout)


def read_points(
    cloud: PointCloud2,
    field_names: Iterable[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Points as a structured array (n,), in native byte order; a view if possible.

    `uvs` are indices into the points. An organised cloud is (height, width) if asked.
    """
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    foreign = bool(cloud.is_bigendian) != (sys.byteorder == "big")
    points = _rows(cloud, dtype.newbyteorder() if foreign else dtype)
    if field_names is not None:
        wanted = list(field_names)
        assert set(wanted) <= set(dtype.names), "Requests field is not in the fields!"
        points = points[wanted]
    if foreign:
        points = points.astype(points.dtype.newbyteorder("="))
    if skip_nans and not cloud.is_dense:
        points = points[~np.any([np.isnan(points[name]) for name in points.dtype.names], axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.height, cloud.width)
    return points


def _rows(cloud: PointCloud2, dtype: np.dtype) -> np.ndarray:
    row_step = cloud.row_step or cloud.width * cloud.point_step
    if row_step == cloud.width * cloud.point_step:
        return np.ndarray((cloud.height * cloud.width,), dtype, cloud.data)
    strides = (row_step, cloud.point_step)
    return np.ndarray((cloud.height, cloud.width), dtype, cloud.data, 0, strides).reshape(-1)


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Iterable[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """Points as a plain array (n, fields); all fields of the cloud must have one datatype."""
    kinds = {field.datatype for field in cloud.fields}
    assert len(kinds) == 1, "All fields need to have the same datatype. Use `read_points()`."
    return structured_to_unstructured(
        read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    )


def create_cloud(
    header: Header,
    fields: Iterable[PointField],
    points: Iterable,
    step: int | None = None,
) -> PointCloud2:
    """A cloud of `points`: a structured array, an array (n, fields) of one type, or tuples.

    A structured array of two dimensions makes an organised cloud. `step`: bytes a point.
    """
    fields = list(fields)
    dtype = dtype_from_fields(fields, step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype)
    elif points.dtype.names is None:
        points = unstructured_to_structured(points, dtype)
    else:
        assert points.dtype == dtype, "PointFields and structured NumPy array dtype do not match!"
    assert points.ndim <= 2, "Too many dimensions for organized cloud!"
    data = array("B")
    data.frombytes(points.tobytes())
    cloud = PointCloud2(
        header=header,
        height=points.shape[0] if points.ndim == 2 else 1,
        width=points.shape[-1],
        is_dense=False,
        is_bigendian=sys.byteorder == "big",
        fields=fields,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * points.shape[-1],
    )
    cloud.data = data
    return cloud


def create_cloud_xyz32(header: Header, points: Iterable, step: int | None = None) -> PointCloud2:
    """A cloud of points x, y, z, float32."""
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate("xyz")
    ]
    return create_cloud(header, fields, points, step)
