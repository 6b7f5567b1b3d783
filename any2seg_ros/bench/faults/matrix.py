"""The table of faults: what is done to which sensors, what must be said, how the node may end."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from any2seg_ros.bench.faults import graph, spoiling
from any2seg_ros.bench.faults.graph import Make, messages
from any2seg_ros.bench.faults.vehicle import Alter
from any2seg_ros.types import Modality

RGB, DEPTH, LIDAR, EVENT = Modality
ALL = frozenset(Modality)
WATCHDOG = 70
"""Exit code of a node whose watchdog expired."""


@dataclass(frozen=True)
class Fault:
    """One row of the table."""

    name: str
    make: Make
    hit: frozenset[Modality] = frozenset()
    """Sensors that the fault may take; the others keep their rate."""
    said: str = ""
    """What must be found in a reason of the status, in diagnostics or in the log (a regular
    expression); empty where nothing is lost and nothing has to be said."""
    ends_with: int | None = None
    """The exit code with which the node has to end; None where it must live."""


def faults() -> list[Fault]:
    """All faults; last those that the node remembers longest, and those that it dies of."""
    rows = [row for modality in Modality for row in _of_any_sensor(modality)]
    rows += [*_of_cameras(), *_of_lidar(), *_of_events(), *_of_several()]
    rows += [*_of_floods(), *_of_the_node(), *_of_transforms(), *_of_calibration(), *_of_signals()]
    return rows


def _of_any_sensor(modality: Modality) -> Iterator[Fault]:
    for name, change, said in _ANY:
        own = _EVENTS_SAY.get(name, said) if modality == EVENT else said
        hit = frozenset({modality})
        yield Fault(f"{modality.label}: {name}", messages(change, modality), hit, own)
    hit = frozenset({modality})
    yield Fault(f"{modality.label}: driver starts again", graph.reopened(modality), hit)
    yield Fault(f"{modality.label}: best effort for a while", graph.best_effort(modality), hit)
    yield Fault(f"{modality.label}: another type on its topic", graph.other_type(modality))


def _plain(change: Alter) -> Callable[[], Alter]:
    return lambda: change


_ANY: tuple[tuple[str, Callable[[], Alter], str], ...] = (
    ("drop", _plain(spoiling.drop), "silent|no message"),
    ("frozen", spoiling.frozen, "frozen|identical|window"),
    ("each message twice", _plain(spoiling.twice), ""),
    ("in pairs, the later first", spoiling.swapped, ""),
    ("half a second late", lambda: spoiling.late(0.5), "window|late|delay|drift"),
    ("clock 37 s behind", lambda: spoiling.shifted(-37.0), "clock differs|delay|drift|window|jump"),
    ("clock an hour ahead", lambda: spoiling.shifted(3600.0), "future"),
    ("clock runs away", lambda: spoiling.drifting(0.05), "future|window|clock|drift"),
    ("stamps 20 ms off", lambda: spoiling.jitter(0.02), ""),
    ("stamps 2 s off", lambda: spoiling.jitter(2.0), "future|window|jump|clock|late"),
    ("stamp zero", _plain(spoiling.zero_stamp), "stamp is zero"),
    ("no data", _plain(spoiling.empty), "."),
    ("half of the data", _plain(spoiling.truncated), "."),
    ("random data", _plain(spoiling.garbage), "."),
    ("DDS cannot decode it", _plain(spoiling.undecodable), "cannot be decoded|silent|no message"),
    ("frame_id of control characters", lambda: spoiling.named("\x1b]0;own\x07" * 40), "frame_id"),
    ("every second frame_id another", lambda: spoiling.named("moon", 2), "frame_id|no transform"),
)
"""Of each sensor: name, change, and what must be said."""
_EVENTS_SAY = {"frozen": "", "half of the data": "", "random data": "", "no data": ""}
"""Events: fewer of them, or of another time, are what a camera may see."""


def _of_cameras() -> Iterator[Fault]:
    rgb, depth = frozenset({RGB}), frozenset({DEPTH})
    pictures = (
        ("black", spoiling.filled(0), "black"),
        ("white", spoiling.filled(255), "saturated|white"),
        ("noise", spoiling.noise, "noise|neighbo"),
        ("another size", lambda pixels: pixels[::2, ::2], "size|camera|."),
        ("grey", lambda pixels: pixels[..., 0], ""),
    )
    for name, change, said in pictures:
        alter = spoiling.picture(change)
        yield Fault(f"rgb: {name}", messages(_plain(alter), RGB), rgb, said)
    png = spoiling.picture(lambda pixels: pixels, ".png")
    yield Fault("rgb: PNG instead of JPEG", messages(_plain(png), RGB), rgb)
    for modality, hit in ((RGB, rgb), (DEPTH, depth)):
        bomb = messages(_plain(spoiling.bomb), modality)
        yield Fault(f"{modality.label}: PNG of 93 bytes that claims 2 GB", bomb, hit, ".")
        encoding = messages(lambda: spoiling.setting(format="martian"), modality)
        yield Fault(f"{modality.label}: unknown encoding", encoding, hit)
    images = (
        ("no return", spoiling.filled(0), "."),
        ("noise", spoiling.noise, "noise"),
        ("another size", lambda pixels: pixels[::2, ::2], "."),
        ("all far away", spoiling.filled(65535), "saturated"),
    )
    for name, change, said in images:
        spoiled = messages(_plain(spoiling.depth(change)), DEPTH)
        yield Fault(f"depth: {name}", spoiled, depth, said)


def _of_lidar() -> Iterator[Fault]:
    hit = frozenset({LIDAR})
    clouds = (
        ("NaN", spoiling.filled(math.nan), "."),
        ("half NaN", spoiling.filled(math.nan, 0.5), ""),
        ("infinite", spoiling.filled(math.inf), "."),
        ("1e30 m away", spoiling.filled(1e30), "."),
        ("all at the origin", spoiling.filled(0.0), "."),
        ("one point", lambda points: points[:1], ""),
        ("noise", spoiling.noise, ""),
    )
    for name, change, said in clouds:
        alter = messages(_plain(spoiling.points(change)), LIDAR)
        yield Fault(f"lidar: {name}", alter, hit, said)
    for name, fields in (
        ("no fields", {"fields": []}),
        ("claims 2 billion points", {"width": 2_000_000_000}),
        ("points of no bytes", {"point_step": 0}),
    ):
        setting = messages(_plain(spoiling.setting(**fields)), LIDAR)
        yield Fault(f"lidar: {name}", setting, hit, ".")


def _of_events() -> Iterator[Fault]:
    hit = frozenset({EVENT})
    for name, fields, said in (
        ("unknown encoding", {"encoding": "martian"}, "encoding"),
        ("another size", {"width": 60_000, "height": 60_000}, "."),
        ("no size", {"width": 0}, "."),
        ("time base of another epoch", {"time_base": 2**62}, ""),
    ):
        setting = messages(_plain(spoiling.setting(**fields)), EVENT)
        yield Fault(f"event: {name}", setting, hit, said)
    large = messages(lambda: spoiling.giant(2_000_000), EVENT)
    yield Fault("event: packets of 2 MB", large, hit, "too large|storm|flood")


def _of_several() -> Iterator[Fault]:
    for several in ((RGB, DEPTH), (LIDAR, EVENT), (RGB, DEPTH, LIDAR), (DEPTH, LIDAR, EVENT)):
        name = ", ".join(m.label for m in several)
        dropped = messages(_plain(spoiling.drop), *several)
        yield Fault(f"{name}: drop", dropped, frozenset(several), "silent")
    yield Fault("all: drop", messages(_plain(spoiling.drop), *Modality), ALL, "no usable sensor")
    yield Fault(
        "all: no data", messages(_plain(spoiling.empty), *Modality), ALL, "no usable sensor|."
    )
    jump = "jumped|future|window"
    yield Fault("all: clocks jump back 10 s", lambda s: graph.time_jump(s, -10.0), ALL, jump)
    yield Fault("all: clocks jump ahead 10 s", lambda s: graph.time_jump(s, 10.0), ALL, jump)


def _of_floods() -> Iterator[Fault]:
    storm = "storm|flood"
    yield Fault("event: storm of 84 MB/s", graph.event_storm(84), frozenset({EVENT}), storm)
    yield Fault(
        "event: storm of 84 MB/s in small packets", graph.event_storm(84, 8000),
        frozenset({EVENT}), storm,
    )  # fmt: skip
    yield Fault("event: storm of 20 MB/s", graph.event_storm(20), frozenset({EVENT}))
    for modality in (RGB, DEPTH, LIDAR):
        hit = frozenset({modality})
        yield Fault(f"{modality.label}: 200 Hz more", graph.flood(modality, 200.0), hit)
        yield Fault(f"{modality.label}: 1000 Hz more", graph.flood(modality, 1000.0), hit, "flood")
    for modality in (RGB, DEPTH, EVENT):
        name = f"{modality.label}: camera_info at 2000 Hz"
        yield Fault(name, graph.flood(modality, 2000.0, True), frozenset({modality}), "flood")


def _of_the_node() -> Iterator[Fault]:
    yield Fault("node: twenty more subscribers", graph.listeners)
    yield Fault("node: a sensor is switched ten times", graph.switched, frozenset({EVENT}))
    yield Fault("node: parameters that cannot be", graph.wrong_parameters)
    yield Fault("node: deactivated, activated", graph.DEACTIVATED, ALL)
    yield Fault("node: cleaned up, configured", graph.CLEANED_UP, ALL)
    yield Fault("node: SIGSTOP, SIGCONT", graph.paused, ALL)
    yield Fault("node: inference hangs", graph.hang(), ALL, "inference has been busy")


def _of_transforms() -> Iterator[Fault]:
    loop = graph.tf(("base_link", "lidar"), ("lidar", "base_link"))
    yield Fault("tf: a loop", loop, said="loop|another parent|ignored|pose")
    yield Fault("tf: NaN", graph.tf(("wheel", "base_link"), x=math.nan), said="TF|transform|NaN")
    yield Fault(
        "tf: a rotation of zero", graph.tf(("wheel", "base_link"), w=0.0), said="TF|trans|rot"
    )
    yield Fault(
        "tf: names of control characters", graph.tf(("\x1b[2J", "\x07")), said="TF|name|frame"
    )
    yield Fault("tf: publisher of static transforms ends", graph.tf_ends)
    yield Fault("tf: 5000 frames", graph.tf_many(5000), said="frames in TF|flooded")
    # The last one: /tf is left alone for some seconds after it.
    yield Fault("tf: 3000 messages a second", graph.tf_flood(3000.0), said="flooded")


def _of_calibration() -> Iterator[Fault]:
    change = spoiling.calibration
    for modality in (RGB, DEPTH, EVENT):
        hit, sensor = frozenset({modality}), modality.label
        # Of depth and events the frame counts that their messages name.
        frame = "frame|transform" if modality == RGB else ""
        for name, alter, said in (
            ("of another frame", lambda: spoiling.of_frame("moon"), frame),
            ("NaN", lambda: spoiling.not_numbers, "camera_info|NaN|finite"),
            ("no focal length", lambda: change(focal=0.0), "camera_info"),
            (
                "wild distortion",
                lambda: change(d=[50.0, 9.0, 3.0, 2.0, 7.0]),
                "distortion|camera_info",
            ),
            ("every second of 1280x720", lambda: change(2, width=1280, height=720), "camera_info"),
            ("of 10 x 10", lambda: change(width=10, height=10), "camera_info|."),
            ("ends", lambda: spoiling.drop, ""),
        ):
            made = messages(alter, modality, info=True)
            yield Fault(f"{sensor}: camera_info {name}", made, hit, said)


def _of_signals() -> Iterator[Fault]:
    for number, code in (
        (signal.SIGINT, 0),
        (signal.SIGTERM, 0),
        (signal.SIGKILL, -signal.SIGKILL),
    ):
        name = signal.Signals(number).name
        yield Fault(f"node: {name}", graph.sent(number), ALL, ends_with=code)
    yield Fault("node: inference hangs, watchdog", graph.hang(2.0), ALL, "watchdog", WATCHDOG)
