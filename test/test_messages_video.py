"""Video of a moving disc, encoded here, with packets lost at all the wrong places."""

from __future__ import annotations

import sys
from fractions import Fraction
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from any2seg_ros.messages import image_size, is_video, with_header
from any2seg_ros.messages.h264 import units
from any2seg_ros.messages.video import VideoDecoder, picture
from any2seg_ros.types import InvalidMeasurement

av = pytest.importorskip("av", reason="PyAV is not here: requirements-video.txt")

COUNT, KEYS = 40, 10
ENCODERS = {
    "h264": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}),
    "h264 high": ("libx264", {"preset": "veryfast", "tune": "zerolatency", "profile": "high"}),
    "h265": (
        "libx265",
        {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none"},
    ),
}


def scene(index):
    pixels = np.zeros((144, 192, 3), np.uint8)
    pixels[..., 0] = np.arange(192)
    pixels[..., 1] = np.arange(144)[:, None]
    cv2.circle(pixels, (10 + 6 * index % 180, 40 + 2 * index % 60), 20, (255, 255, 255), -1)
    return pixels


def encoded(name, b_frames=0):
    encoder, options = ENCODERS[name]
    try:
        context = av.CodecContext.create(encoder, "w")
    except Exception:
        pytest.skip(f"this PyAV has no {encoder}")
    context.width, context.height, context.pix_fmt = 192, 144, "yuv420p"
    context.time_base, context.gop_size = Fraction(1, 30), KEYS
    context.max_b_frames, context.bit_rate = b_frames, 2_000_000
    context.options = {"preset": "medium"} if b_frames else options
    packets = []
    for index in range(COUNT):
        frame = av.VideoFrame.from_ndarray(scene(index), "rgb24")
        frame.pts = index
        packets += [bytes(p) for p in context.encode(frame)]
    return packets + [bytes(p) for p in context.encode(None)]


def ffmpeg(data, encoding="libx264", width=192, height=144):
    return SimpleNamespace(
        header=None, width=width, height=height, encoding=encoding, pts=0, flags=0, data=data
    )


def foxglove(data, name="h264", index=0):
    stamp = SimpleNamespace(sec=100 + index // 30, nanosec=index % 30 * 33_000_000)
    return SimpleNamespace(timestamp=stamp, frame_id="cam", data=data, format=name)


@pytest.fixture(scope="module", params=ENCODERS)
def stream(request):
    return request.param.split()[0], encoded(request.param)


def seen(name, packets, decoder=None):
    """By packet: how far its picture is from the scene, or the reason why it has none."""
    decoder = decoder or VideoDecoder()
    found = {}
    for index, data in packets:
        try:
            pixels = picture(decoder.decode(foxglove(data, name, index)))
            found[index] = np.abs(pixels.astype(int) - scene(index)).mean()
        except InvalidMeasurement as reason:
            found[index] = str(reason)
    return found


def sound(value):
    return not isinstance(value, str) and value < 2.5


def test_over_a_gap_the_parameters_of_the_stream_are_kept():
    packets = encoded("h264")
    decoder = VideoDecoder()
    picture(decoder.decode(foxglove(packets[0])))
    slices = [
        b"\0\0\1" + bytes([refers << 5 | kind]) + unit
        for kind, refers, unit in units(packets[KEYS])
        if kind == 5
    ]
    decoder.resume()
    with pytest.raises(InvalidMeasurement, match="waits for a key frame"):
        decoder.decode(foxglove(packets[KEYS - 1]))
    decoder.resume()
    pixels = picture(decoder.decode(foxglove(b"".join(slices))))
    assert np.abs(pixels.astype(int) - scene(KEYS)).mean() < 2.5


def test_every_picture_comes_with_its_packet(stream):
    name, packets = stream
    assert len(packets) == COUNT
    assert all(sound(v) for v in seen(name, enumerate(packets)).values())


@pytest.mark.parametrize("lost", [[13], [19], [10], [9, 10, 11], [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])
def test_after_a_lost_packet_nothing_is_seen_until_the_next_key_frame(stream, lost):
    name, packets = stream
    found = seen(name, [(i, p) for i, p in enumerate(packets) if i not in lost])
    key = -(-(lost[-1] + 1) // KEYS) * KEYS
    for index, value in found.items():
        if lost[0] < index < key:
            assert isinstance(value, str) and "waits for a key frame" in value, (index, value)
        else:
            assert sound(value), (index, value)


def test_a_stream_that_is_joined_late_is_seen_from_its_next_key_frame(stream):
    name, packets = stream
    found = seen(name, list(enumerate(packets))[4:])
    assert all("waits for a key frame" in str(found[index]) for index in range(4, KEYS))
    assert all(sound(found[index]) for index in range(KEYS, COUNT))


def test_both_messages_and_all_names_of_a_codec_are_read(stream):
    name, packets = stream
    other = {"h264": ["libx264", "h264_nvenc", "h264;yuv420p;bgr8;bgr8", "H264"],
             "h265": ["libx265", "hevc_nvenc", "hevc", "hevc_vaapi"]}[name]  # fmt: skip
    for encoding in other:
        pixels = picture(VideoDecoder().decode(ffmpeg(packets[0], encoding)))
        assert np.abs(pixels.astype(int) - scene(0)).mean() < 2.5


@pytest.mark.parametrize(
    ("msg", "reason"),
    [
        (foxglove(b"x" * 40, "vp9"), "packed as 'vp9': read are h264 and h265"),
        (ffmpeg(b"x" * 40, "libsvtav1"), "read are h264 and h265"),
        (foxglove(b"", "h264"), "empty"),
        (foxglove(b"\xff" * 400, "h264"), "waits for a key frame"),
        (foxglove(b"\0\0\1\x67" * 100, "h264"), "waits for a key frame"),
        (foxglove(b"\0\0\1\x61\0", "h265"), "waits for a key frame"),
        (ffmpeg(b"x" * 40, width=60_000, height=60_000), "absurd size"),
    ],
)
def test_what_is_no_video_is_a_reason(msg, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        VideoDecoder().decode(msg)


def test_any_damage_is_a_picture_or_a_reason(stream):
    name, packets = stream
    random = np.random.default_rng(0)
    decoder = VideoDecoder()
    for _ in range(4):
        for data in packets:
            damaged = bytearray(data)
            for at in random.integers(0, len(damaged), 3):
                damaged[at] = random.integers(0, 256)
            try:
                decoder.decode(foxglove(bytes(damaged), name))
            except InvalidMeasurement as reason:
                assert str(reason).startswith("video")
    assert sound(seen(name, [(0, packets[0])], decoder)[0])


def test_pictures_out_of_order_are_refused_with_what_to_do():
    found = seen("h264", enumerate(encoded("h264", b_frames=3)))
    assert any("B-frames" in str(v) for v in found.values())
    assert all(isinstance(v, str) or v < 2.5 for v in found.values())


def test_without_pyav_the_reason_says_so(monkeypatch, stream):
    name, packets = stream
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InvalidMeasurement, match="video needs PyAV: pip install av"):
        VideoDecoder().decode(foxglove(packets[0], name))


def test_messages_of_video_are_known_and_have_a_header_and_a_size():
    assert is_video(foxglove(b"")) and is_video(ffmpeg(b""))
    assert is_video(with_header(foxglove(b"")))
    assert not is_video(SimpleNamespace(header=1, format="jpeg", data=b""))
    assert not is_video(SimpleNamespace(header=1, encoding="evt3", events=b"", time_base=0))
    header = with_header(foxglove(b"")).header
    assert (header.stamp.sec, header.frame_id) == (100, "cam")
    assert image_size(ffmpeg(b"")) == (192, 144)
    assert image_size(foxglove(b"")) is None and image_size(ffmpeg(b"", "x", 0, 0)) is None
