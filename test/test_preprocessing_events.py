"""Events to modality images."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any2seg_ros.preprocessing.camera_models import transform
from any2seg_ros.preprocessing.events import concatenate, preprocess_events
from any2seg_ros.types import Camera, Events, InvalidMeasurement, Measurement, Modality

MS = 1_000_000
REFERENCE = Camera(640, 360, 400.0, 400.0, 319.5, 179.5)
VIEW = REFERENCE.resized(160, 90)
STAMP = 1000 * MS


def events(rows, width=640, height=360):
    """Rows of (t, x, y, p)."""
    t, x, y, p = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    return Events(
        np.array(t, np.int64),
        np.array(x, np.uint16),
        np.array(y, np.uint16),
        np.array(p, bool),
        width,
        height,
    )


def measured(data, camera=None, matrix=None):
    matrix = np.eye(4) if matrix is None else matrix
    return Measurement(Modality.EVENT, STAMP, data, camera, matrix)


def test_channels_are_positive_negative_and_recency():
    rows = [(STAMP - 25 * MS, 0, 0, 1), (STAMP - 10 * MS, 3, 3, 1), (STAMP, 636, 356, 0)]
    image = preprocess_events(measured(events(rows)), VIEW)
    two, one = np.log1p([2, 1]) / np.log1p(16 * 4)
    assert image[0, 0, 0] == pytest.approx(two, abs=1e-6)
    assert image[1, 89, 159] == pytest.approx(one, abs=1e-6)
    assert image[2, 0, 0] == pytest.approx(0.8, abs=1e-6)
    assert image[2, 89, 159] == pytest.approx(1.0, abs=1e-6)
    assert (image > 0).sum() == 4


def test_only_events_of_the_window_count():
    rows = [(STAMP - 50 * MS, 0, 0, 1), (STAMP - 49 * MS, 80, 80, 1), (STAMP + 1, 160, 160, 1)]
    image = preprocess_events(measured(events(rows)), VIEW)
    assert np.argwhere(image[0]).tolist() == [[20, 20]]


def test_counts_do_not_exceed_one():
    rows = [(STAMP - 1, 5, 5, 1)] * 5000
    assert preprocess_events(measured(events(rows)), VIEW)[0].max() == 1.0


def test_events_of_a_turned_camera_lie_where_far_points_are_seen():
    matrix = transform((0.5, 0.0, 0.0), (0.0, np.sin(0.02), 0.0, np.cos(0.02)))
    camera = Camera(640, 360, 420.0, 420.0, 319.5, 179.5, (-0.1, 0.01, 0.0, 0.0, 0.0))
    point = np.linalg.inv(matrix)[:3, :3] @ [0.1, 0.05, 1.0]
    zero = np.zeros(3)
    d = np.array(camera.distortion)
    u, v = cv2.projectPoints(point[None], zero, zero, camera.matrix, d)[0].ravel()
    image = preprocess_events(
        measured(events([(STAMP, round(u), round(v), 1)]), camera, matrix), VIEW
    )
    row, column = np.argwhere(image[0])[0]
    assert abs(column - (0.1 * VIEW.fx + VIEW.cx)) < 1
    assert abs(row - (0.05 * VIEW.fy + VIEW.cy)) < 1


def test_a_focal_length_that_is_absurd_takes_no_memory():
    camera = Camera(640, 360, 5e5, 5e5, 319.5, 179.5)
    tracemalloc.start()
    try:
        preprocess_events(measured(events([(STAMP, 320, 180, 1)]), camera), VIEW)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_a_coarse_sensor_fills_the_view():
    rows = [(STAMP - 1, x, y, (x + y) % 2) for y in range(45) for x in range(80)]
    image = preprocess_events(measured(events(rows, 80, 45)), VIEW)
    assert ((image[0] > 0) | (image[1] > 0)).mean() > 0.95
    assert (image[2] > 0.99).mean() > 0.95


def test_events_that_the_view_does_not_see_are_nowhere():
    behind = transform((0, 0, 0), (0, 1, 0, 0))
    image = preprocess_events(measured(events([(STAMP, 5, 5, 1)]), REFERENCE, behind), VIEW)
    assert not image.any()


def test_silence_is_unusable_unless_it_is_allowed():
    old = measured(events([(STAMP - 60 * MS, 5, 5, 1)]))
    for measurement in (old, measured(events([]))):
        with pytest.raises(InvalidMeasurement, match="no events in the window"):
            preprocess_events(measurement, VIEW)
        assert not preprocess_events(measurement, VIEW, minimum=0).any()


@pytest.mark.parametrize(
    ("data", "camera", "reason"),
    [
        (np.zeros(3), None, "neither events"),
        (events([(STAMP, 5, 5, 1)], 640, 300), REFERENCE, "another size"),
        (events([(STAMP, 640, 5, 1)]), REFERENCE, "outside their sensor"),
    ],
)
def test_what_are_no_events_of_the_camera_is_unusable(data, camera, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        preprocess_events(measured(data, camera), VIEW)


@settings(max_examples=80, deadline=None)
@given(
    chunks=st.lists(st.lists(st.integers(0, 30), max_size=6), min_size=1, max_size=5),
    t0=st.integers(-5, 100),
    length=st.integers(0, 100),
)
def test_a_slice_has_the_events_after_its_begin_up_to_its_end(chunks, t0, length):
    now, made, every = 0, [], []
    for steps in chunks:
        rows = []
        for step in steps:
            now += step
            rows.append((now, len(every) + len(rows), 1, step % 2))
        made.append(events(rows))
        every += rows
    cut = concatenate(made, t0, t0 + length)
    expected = [row for row in every if t0 < row[0] <= t0 + length]
    assert cut.t.tolist() == [row[0] for row in expected]
    assert cut.x.tolist() == [row[1] for row in expected]
    assert cut.p.tolist() == [bool(row[3]) for row in expected]
    assert (cut.width, cut.height, cut.x.dtype) == (640, 360, np.uint16)


def test_chunks_must_be_there_and_of_one_sensor():
    with pytest.raises(ValueError, match="at least one"):
        concatenate([], 0, 1)
    with pytest.raises(ValueError, match="different sizes"):
        concatenate([events([]), events([], 10, 10)], 0, 1)


def test_events_are_in_order_of_time_however_their_packets_were_put_together() -> None:
    t = np.array([10, 30, 20, 40, 35, 50], np.int64)
    x = np.arange(6, dtype=np.uint16)

    def chunk(part: slice) -> Events:
        order = np.argsort(t[part], kind="stable")
        return Events(t[part][order], x[part][order], x[part], x[part] > 0, 8, 8)

    made = [
        concatenate([chunk(slice(a, b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)], 10, 45)
        for cuts in ([0, 6], [0, 2, 4, 6], [0, 1, 2, 3, 4, 5, 6])
    ]
    assert [one.t.tolist() for one in made] == [[20, 30, 35, 40]] * 3
    assert [one.x.tolist() for one in made] == [[2, 1, 4, 3]] * 3
