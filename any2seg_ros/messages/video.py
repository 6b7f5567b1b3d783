"""H.264 and H.265 as foxglove_msgs/CompressedVideo and ffmpeg_image_transport_msgs/FFMPEGPacket.

A picture is made of those before it: every packet is decoded, in order. Where one is lost, nothing
is seen until the next key frame; what decoders make up in its place is no measurement. PyAV decodes
(requirements-video.txt); without it, the reason says so.
"""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np

from any2seg_ros.messages.buffers import as_bytes, stamp_ns
from any2seg_ros.messages.h264 import PictureNumbers
from any2seg_ros.messages.sizes import LARGEST, check_area
from any2seg_ros.types import InvalidMeasurement, plain

_CODECS = {"h264": "h264", "h265": "hevc", "hevc": "hevc", "x264": "h264", "x265": "hevc"}
READ = "h264 and h265"
_LATE = 5
"""Usual intervals between packets after which a key frame is waited for."""
WAITING = "video waits for a key frame: frames before it were lost"


def is_video(msg: Any) -> bool:
    """Whether a message is a CompressedVideo or FFMPEGPacket."""
    return hasattr(msg, "pts") or (hasattr(msg, "format") and hasattr(msg, "timestamp"))


def with_header(msg: Any) -> Any:
    """The message, or, of foxglove_msgs, which have stamp and frame_id apart, one with a header."""
    if hasattr(msg, "header") or not hasattr(msg, "timestamp"):
        return msg
    header = SimpleNamespace(stamp=msg.timestamp, frame_id=msg.frame_id)
    fields = {
        name: getattr(msg, name) for name in ("data", "format", "timestamp") if hasattr(msg, name)
    }
    return SimpleNamespace(header=header, **fields)


class VideoDecoder:
    """Decodes the packets of one camera, every one of them and in their order."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next packet may be of another one."""
        self._codec = ""
        self._context: Any = None
        self._numbers = PictureNumbers()
        self._count = 0
        self._last = 0
        self._intervals: deque[int] = deque(maxlen=15)
        self._gap = False

    def resume(self) -> None:
        """Packets before the next one are left out: a key frame is waited for."""
        self._gap = True

    def decode(self, msg: Any) -> Any:
        """The frame of a packet, for `picture`.

        InvalidMeasurement for what cannot be decoded, with the reason, and while the video waits
        for a key frame.
        """
        if hasattr(msg, "width") and (msg.width or msg.height):
            check_area("video", int(msg.width), int(msg.height))
        name = str(msg.encoding if hasattr(msg, "encoding") else msg.format)
        data = as_bytes(msg.data).tobytes()
        if not data:
            raise InvalidMeasurement("video packet is empty")
        codec = _codec(name)
        if codec != self._codec:
            self.reset()
            self._codec, self._context = codec, _open(codec)
        late, gap = self._is_late(msg), self._gap
        self._gap = True  # unless the packet is looked at to its end
        lost = codec == "h264" and self._numbers.lost(data)
        self._gap = False
        if lost or late or gap:
            self._context = _open(codec)
            data = self._numbers.parameters + data
        return self._frame(data)

    def _is_late(self, msg: Any) -> bool:
        """Whether many packets must be missing: numbers that begin anew may fit by chance."""
        stamp = _stamp(msg)
        interval = stamp - self._last if self._last and stamp else 0
        self._last = stamp
        known = sorted(self._intervals)
        if interval > 0:
            self._intervals.append(interval)
        return len(known) > 1 and not 0 <= interval <= _LATE * known[len(known) // 2]

    def _frame(self, data: bytes) -> Any:
        import av

        packet = av.Packet(data)
        self._count += 1
        packet.pts = self._count
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            raise InvalidMeasurement(WAITING) from None
        except (ValueError, MemoryError) as error:
            raise InvalidMeasurement(f"video cannot be decoded: {error}") from None
        if not frames or frames[-1].is_corrupt:
            raise InvalidMeasurement(WAITING)
        if frames[-1].pts != self._count:
            raise InvalidMeasurement(
                "video has its pictures out of order (B-frames): set the encoder to zero latency"
            )
        return frames[-1]


def _stamp(msg: Any) -> int:
    header = getattr(with_header(msg), "header", None)
    return stamp_ns(header.stamp) if header is not None else 0


def picture(frame: Any) -> np.ndarray:
    """A decoded frame as uint8 (h, w, 3), R, G, B."""
    return frame.to_ndarray(format="rgb24")


def _codec(name: str) -> str:
    words = name.lower().replace(";", " ").replace("_", " ").split()
    known = words[0].removeprefix("lib") if words else ""
    if known not in _CODECS:
        raise InvalidMeasurement(f"video is packed as '{plain(name)}': read are {READ}")
    return _CODECS[known]


def _open(codec: str) -> Any:
    try:
        import av
    except ImportError:
        raise InvalidMeasurement(
            "video needs PyAV: pip install av, or have the camera's compressed topic used"
        ) from None
    av.logging.set_level(None)
    context: Any = av.CodecContext.create(codec, "r")
    # A frame comes out with its packet, not some packets later.
    context.thread_count = 1
    context.flags |= av.codec.context.Flags.low_delay
    context.options = {"max_pixels": str(LARGEST)}
    return context
