"""Depth between a LiDAR's beams."""

import numpy as np

from any2seg_ros.runtime.densified import REACH_DEG, densified
from any2seg_ros.types import Camera

CAMERA = Camera(320, 180, 240.0, 240.0, 159.5, 89.5)
REACH = round(np.tan(np.radians(REACH_DEG)) * 240.0)


def road() -> np.ndarray:
    """Depth of a plane 1.6 m below the camera, in m; the sky is NaN."""
    rows = np.arange(180.0) - CAMERA.cy
    with np.errstate(divide="ignore"):
        depth = np.where(rows > 4, 240.0 * 1.6 / rows, np.nan)
    return np.repeat(depth[:, None], 320, 1).astype(np.float32)


def beams(depth: np.ndarray, apart: int) -> np.ndarray:
    """What a LiDAR has of it: every row so far apart, every third pixel."""
    sparse = np.full_like(depth, np.nan)
    sparse[::apart, ::3] = depth[::apart, ::3]
    return sparse


def test_a_road_between_beams_is_the_road():
    sparse = beams(road(), 5)
    dense = densified(sparse, CAMERA)
    known = sparse > 0
    assert np.array_equal(dense[known], sparse[known])
    seen = np.isfinite(dense)
    assert seen[100:].mean() > 0.99 > 10 * known.mean()
    wrong = np.abs(1 / dense - 1 / road())[100:175] * road()[100:175]
    nearest = np.abs(np.repeat(sparse[::5, ::3], 5, 0)[100:175] / road()[100:175, :1] - 1)
    assert np.nanmedian(wrong) < 0.02 and np.nanmedian(wrong) < np.nanmedian(nearest) / 2


def test_what_is_out_of_reach_stays_unknown():
    sparse = np.full((180, 320), np.nan, np.float32)
    sparse[90, 160] = 8.0
    rows, columns = np.nonzero(np.isfinite(densified(sparse, CAMERA)))
    distances = np.hypot(rows - 90, columns - 160)
    assert distances.max() <= REACH + 0.5 and len(rows) > 2 * REACH**2
    assert np.isnan(densified(np.full((180, 320), np.nan, np.float32), CAMERA)).all()


def test_an_edge_stays_an_edge():
    whole = np.full((180, 320), 20.0, np.float32)
    whole[:, 160:] = 5.0
    dense = densified(beams(whole, 4), CAMERA)
    assert set(np.round(dense[np.isfinite(dense)], 3).tolist()) == {5.0, 20.0}
