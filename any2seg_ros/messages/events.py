"""Messages of event cameras to Events: EventPacket of any encoding, and EventArray.

Time. Sensors count their own microseconds, whose zero is anywhere; `header.stamp` is the host's
time at which the packet arrived. All else in a Frame is in the host's time, so events are moved
there: the offset is the smallest difference between a packet's stamp and its last event that has
been seen, because a packet may be late but never early. It may grow by `drift_ppm`, so that a
sensor's clock that is slower than the host's is followed; where the difference jumps (the sensor
began anew, a bag loops), it is found anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from any2seg_ros.messages.buffers import as_bytes, stamp_ns
from any2seg_ros.messages.evt2 import Evt2Decoder
from any2seg_ros.messages.sizes import check_area
from any2seg_ros.messages.words import EVT3, LIBCAER_CMP, WordDecoder
from any2seg_ros.preprocessing.events import concatenate
from any2seg_ros.types import Events, InvalidMeasurement, plain

_EVER = 1 << 62
_LARGEST = 5_000_000
"""Pixels of a sensor at most: as many as EVT3 can name (2048 x 2048), and no sensor has more. Of a
registered one, a table of this size is made that nothing but its packets vouches for."""
_READ = "evt3, evt21, evt2, mono, libcaer and libcaer_cmp"


@dataclass(frozen=True)
class EventDecoderConfig:
    """How sensor time becomes host time."""

    drift_ppm: float = 100.0
    """Largest difference in speed between the sensor's and the host's clock, in 1e-6."""
    jump_s: float = 0.5
    """A packet that comes by more than this later than expected begins a new time."""
    step_s: float = 0.01
    """Where for `steady_s` all packets come by more than this later than expected, the host's clock
    was set, or stamps were wrong before: a new time begins as well."""
    steady_s: float = 0.4
    """So long a stall of the host may last: until its end, packets come late."""
    synchronised_s: float = 0.2
    """EventArray and libcaer times this near to the stamp are taken as host time as they are."""


class SensorClock:
    """Maps one sensor's time to the host's."""

    def __init__(self, config: EventDecoderConfig = EventDecoderConfig()) -> None:
        self._config = config
        self._offset: int | None = None
        self._last = 0
        self._least = _EVER
        self._since = 0

    def offset(self, sensor: int, stamp: int) -> int:
        """What to add to the sensor's time for a packet stamped `stamp`, last event at `sensor`.

        All in ns.
        """
        difference = stamp - sensor
        if self._offset is not None:
            drift = max(0, stamp - self._last) * self._config.drift_ppm * 1e-6
            expected = self._offset + int(drift)
            if difference > expected + self._config.jump_s * 1e9:
                expected = difference
            least = self._steady_least(difference, stamp)
            if least is not None and least > expected + self._config.step_s * 1e9:
                expected = least
            difference = min(difference, expected)
        self._offset, self._last = difference, stamp
        return difference

    def _steady_least(self, difference: int, stamp: int) -> int | None:
        """The smallest difference of the `steady_s` that end with this packet; None within them."""
        steady = round(self._config.steady_s * 1e9)
        if not 0 <= stamp - self._since < 2 * steady:
            self._least, self._since = difference, stamp
            return None
        self._least = min(self._least, difference)
        if stamp - self._since < steady:
            return None
        least, self._least, self._since = self._least, _EVER, stamp
        return least


def warm() -> None:
    """Have the loops over words compiled or loaded, which no packet should wait for."""
    WordDecoder(EVT3).decode(np.zeros(1, np.uint16))


class EventDecoder:
    """Decodes the messages of one event camera, every one of them and in their order.

    EventPacket (event_camera_msgs) with the encodings evt3, evt21, evt2, mono, libcaer and
    libcaer_cmp, and EventArray (dvs_msgs, prophesee_event_msgs). A packet without events gives
    Events of length 0: a silent sensor looks at something that does not move.
    """

    def __init__(self, config: EventDecoderConfig = EventDecoderConfig()) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget the stream, as after a jump of time or for another camera."""
        self._clock = SensorClock(self._config)
        self._words: dict[str, WordDecoder] = {}
        self._evt2: dict[str, Evt2Decoder] = {}

    def state(self) -> Any:
        """What `restore` takes, to decode the same messages again."""
        return deepcopy((self._clock, self._words, self._evt2))

    def restore(self, state: Any) -> None:
        """Be as it was when `state` was asked for, which is used up by that."""
        self._clock, self._words, self._evt2 = state

    def resume(self) -> None:
        """Go on behind packets that are missing: times of before them stay what they are."""
        self._words = {}
        self._evt2 = {}

    def decode(self, msg: Any) -> Events:
        """The events of a message, their times in ns of the host's clock.

        InvalidMeasurement for truncated data, unknown encodings, a size or a stamp of zero.
        """
        if not hasattr(msg, "encoding"):
            return self._placed(msg, _array(msg), synchronised=True)
        synchronised = msg.encoding.startswith("libcaer")
        return self._placed(msg, self._packet(msg, as_bytes(msg.events)), synchronised)

    def _placed(
        self, msg: Any, columns: tuple[np.ndarray, ...], synchronised: bool = False
    ) -> Events:
        """Events in host time, of columns in sensor time that end with the message `msg`."""
        t, x, y, p = _ordered(columns)
        stamp, width, height = _header(msg)
        if len(t) == 0:
            return Events(t, x, y, p, width, height)
        last = int(t[-1])
        near = abs(stamp - last) < self._config.synchronised_s * 1e9
        if not (synchronised and near):
            t = t + self._clock.offset(last, stamp)
        return _within(Events(t, x, y, p, width, height))

    def decode_all(self, messages: Sequence[Any]) -> Events:
        """The events of several messages that follow each other, at least one.

        Ten packets of evt3 cost three times as much at once as one alone, so that a fast sensor's
        packets are better decoded a few milliseconds at a time. Raises as `decode` does; then
        none of the messages gives events.
        """
        last = messages[-1]
        for msg in messages:
            if getattr(msg, "encoding", "") != "evt3" or msg.is_bigendian != last.is_bigendian:
                return concatenate([self.decode(msg) for msg in messages], -_EVER, _EVER)
        parts = [_whole(as_bytes(msg.events), 2) for msg in messages]
        headers = [_header(msg) for msg in messages]
        words = np.concatenate(parts).view((">" if last.is_bigendian else "<") + "u2")
        ends = np.cumsum([len(part) // 2 for part in parts]).tolist()
        t, line, position, p, counts = self._decoder("evt3").decode_parts(words, ends)
        t *= 1000
        begin = 0
        for (stamp, _, _), end in zip(headers, counts.tolist(), strict=True):
            if end > begin:
                t[begin:end] += self._clock.offset(int(t[end - 1]), stamp)
            begin = end
        t, position, line, p = _ordered((t, position, line, p))
        events = Events(t, position, line, p, *headers[-1][1:])
        return _within(events) if len(t) else events

    def _packet(self, msg: Any, data: np.ndarray) -> tuple[np.ndarray, ...]:
        encoding = str(msg.encoding)
        if int(msg.time_base) > _EVER:
            raise InvalidMeasurement("event packet has an absurd time base")
        order = ">" if msg.is_bigendian else "<"
        if encoding in ("evt3", "libcaer_cmp"):
            return self._word_packet(encoding, _whole(data, 2).view(order + "u2"), msg)
        if encoding == "mono":
            return _mono(_whole(data, 8).view(order + "u8"), int(msg.time_base))
        if encoding == "libcaer":
            return _libcaer(_whole(data, 8).view(order + "u4"), int(msg.time_base))
        if encoding in ("evt2", "evt21"):
            size = 8 if encoding == "evt21" else 4
            t, x, y, p = self._evt2_decoder(encoding).decode(_whole(data, size), order)
            t *= 1000
            return t, x, y, p
        raise InvalidMeasurement(f"unknown event encoding '{plain(encoding)}': read are {_READ}")

    def _evt2_decoder(self, encoding: str) -> Evt2Decoder:
        if encoding not in self._evt2:
            self._evt2[encoding] = Evt2Decoder(encoding == "evt21")
        return self._evt2[encoding]

    def _decoder(self, encoding: str) -> WordDecoder:
        if encoding not in self._words:
            self._words[encoding] = WordDecoder(EVT3 if encoding == "evt3" else LIBCAER_CMP)
        return self._words[encoding]

    def _word_packet(self, encoding: str, words: np.ndarray, msg: Any) -> tuple[np.ndarray, ...]:
        t, line, position, p = self._decoder(encoding).decode(words)
        t *= 1000
        if encoding == "evt3":
            return t, position, line, p
        t += int(msg.time_base)
        return t, line, position, p


def _header(msg: Any) -> tuple[int, int, int]:
    """Stamp in ns, and width and height of the sensor."""
    stamp, width, height = stamp_ns(msg.header.stamp), int(msg.width), int(msg.height)
    check_area("event sensor", width, height, _LARGEST)
    if stamp == 0:
        raise InvalidMeasurement("stamp is zero")
    return stamp, width, height


def _whole(data: np.ndarray, size: int) -> np.ndarray:
    if len(data) % size:
        raise InvalidMeasurement(f"event data are truncated: no whole number of {size} bytes")
    return data


def _ordered(columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Columns in order of time, which comes first; those of the same time as they came."""
    t = columns[0]
    if (t[1:] >= t[:-1]).all():
        return columns
    order = np.argsort(t, kind="stable")
    return tuple(column[order] for column in columns)


def _within(events: Events) -> Events:
    """Without the events that name a pixel which the sensor does not have."""
    x, y = events.x, events.y
    if int(x.max()) < events.width and int(y.max()) < events.height:
        return events
    inside = (x < events.width) & (y < events.height)
    if not inside.any():
        raise InvalidMeasurement("events lie outside their sensor")
    return Events(
        events.t[inside], x[inside], y[inside], events.p[inside], events.width, events.height
    )


def _mono(words: np.ndarray, base: int) -> tuple[np.ndarray, ...]:
    """64-bit words: polarity bit 63, y 48 to 62, x 32 to 47, time 0 to 31 in ns after the base."""
    t = (words & 0xFFFFFFFF).astype(np.int64)
    t += base
    x = (words >> 32).astype(np.uint16)
    y = ((words >> 48) & 0x7FFF).astype(np.uint16)
    return t, x, y, (words >> 63) != 0


def _libcaer(words: np.ndarray, base: int) -> tuple[np.ndarray, ...]:
    """libcaer's polarity events: uint32 x 17 to 31, y 2 to 16, polarity 1, valid 0; int32 time.

    The time is in microseconds after the base, which is in ns; it starts anew every 2^31 us.
    """
    data, low = words[0::2], (words[1::2] & 0x7FFFFFFF).astype(np.int64)
    if len(low) and (np.diff(low) < -(1 << 30)).any():
        low[1:] += np.cumsum(np.diff(low) < -(1 << 30)) << 31
    t = low * 1000 + base
    x = ((data >> 17) & 0x7FFF).astype(np.uint16)
    y = ((data >> 2) & 0x7FFF).astype(np.uint16)
    return t, x, y, (data & 2) != 0


def _array(msg: Any) -> tuple[np.ndarray, ...]:
    """EventArray of dvs_msgs and prophesee_event_msgs: a list of {x, y, ts, polarity}."""
    count = len(msg.events)
    t = np.fromiter((stamp_ns(e.ts) for e in msg.events), np.int64, count)
    x = np.fromiter((e.x for e in msg.events), np.uint16, count)
    y = np.fromiter((e.y for e in msg.events), np.uint16, count)
    p = np.fromiter((e.polarity for e in msg.events), bool, count)
    return t, x, y, p
