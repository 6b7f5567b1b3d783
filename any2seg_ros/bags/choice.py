"""Which of several topics is a sensor's: by messages, kind, its own camera_info, and name.

Bags of `ros2 bag record -a` have every transport of every camera, most of them without a message,
the pictures that LiDAR drivers make of their clouds, and clouds that depth cameras make of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from any2seg_ros.messages.kinds import CAMERA_INFO, CLOUD, COMPRESSED, EVENTS, FFMPEG, IMAGE, VIDEO
from any2seg_ros.types import Modality

PICTURES = (IMAGE, COMPRESSED)
TYPES: dict[Modality, tuple[str, ...]] = {
    Modality.RGB: (*PICTURES, VIDEO, FFMPEG),
    Modality.DEPTH: PICTURES,
    Modality.LIDAR: (CLOUD,),
    Modality.EVENT: (
        EVENTS,
        "dvs_msgs/msg/EventArray",
        "prophesee_event_msgs/msg/EventArray",
        *PICTURES,
    ),
}
WORDS: dict[Modality, tuple[str, ...]] = {
    Modality.RGB: ("rgb", "color", "colour", "camera", "image", "cam", "video"),
    Modality.DEPTH: ("depth", "stereo"),
    Modality.LIDAR: (
        "lidar", "velodyne", "ouster", "livox", "hesai", "pandar", "rslidar", "robosense", "laser",
        "points", "cloud",
    ),
    Modality.EVENT: ("event", "dvs", "prophesee"),
}  # fmt: skip
_SENSOR_OF_ITS_OWN = 9
"""Words of a LiDAR that no depth camera's cloud has."""
LABEL_WORDS = ("ground_truth", "label", "semantic", "annotation")
_TRANSPORTS = re.compile(r"/(compressed|compressedDepth|ffmpeg|foxglove|theora|zstd|h264|h265)$")
_IMAGE_NAME = re.compile(r"/(image|image_raw|image_rect|image_color|image_rect_color|image_mono)$")
_COLOUR = re.compile(r"rgb|colou?r")
_NO_PICTURE: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an image that a LiDAR's driver makes of its cloud",
     re.compile(r"(range|signal|nearir|reflec|ambient)_image|/(range|signal|reflectivity)/")),
    ("depth", re.compile(r"(?<![a-z])depth|disparity|(?<![a-z])stereo/image")),
    ("made by another program",
     re.compile(r"mask|confidence|debug|semantic|segmentation|label|annotat|overlay|rois|detect|"
                r"optical_flow|heatmap|costmap|ground_truth")),
    ("events", re.compile(r"(?<![a-z])(event|dvs|prophesee)(?!.*image_raw)")),
)  # fmt: skip
_SECOND_CHOICE = re.compile(r"infra|(^|/)(n?ir|thermal|left_ir|right_ir)\d*(/|_)|thermal|lwir")
_OF_EVENTS = re.compile(r"(?<![a-z])(event|dvs|davis|prophesee)")
"""Event cameras have pictures, too: grey ones, or what is drawn of the events."""
_OF_STEREO = re.compile(r"(?<![a-z])stereo/(image|depth)|depth")
"""Of a stereo camera its depth, not its two pictures."""
_MAP = re.compile(r"(?<![a-z])map(?![a-z])|costmap")
_POSITIONS = (re.compile(r"front"), re.compile(r"^(?!.*(back|rear|right|side)).*$"))
KNOWN_OTHERS = {
    "CustomMsg": "have the Livox driver publish PointCloud2 (xfer_format 0)",
    "VelodyneScan": "play it through velodyne_pointcloud to have points",
    "PacketMsg": "play it through ouster_ros to have points",
    "PandarScan": "play it through hesai_ros_driver to have points",
    "UdpFrame": "play it through hesai_ros_driver to have points",
    "RslidarScan": "play it through rslidar_sdk to have points",
    "RslidarPacket": "play it through rslidar_sdk to have points",
    "CompressedPointCloud2": "unpack it with `ros2 run point_cloud_transport republish`",
    "PointCloud": "it is the old message: have its driver publish PointCloud2",
    "RGBD": "have the camera publish its images (enable_color, enable_depth)",
    "NebulaPackets": "play it through nebula to have points",
    "DisparityImage": "play it through stereo_image_proc to have depth",
    "LaserScan": "one line of points is too little",
    "theora_image_transport/msg/Packet": "record the compressed topic",
    "EventArray": "of event_array_msgs: convert it to event_camera_msgs/EventPacket",
}
"""What sensors send and is not read, by the end of its type, and what to do."""


@dataclass(frozen=True)
class Candidate:
    """A topic of a type that a sensor may have; `why_not` says why it is passed over."""

    topic: str
    why_not: str
    rank: tuple


def base_of(topic: str) -> str:
    """The topic without its transport."""
    return _TRANSPORTS.sub("", topic)


def info_of(
    topic: str, topics: Mapping[str, str], counts: Mapping[str, int] | None = None
) -> str | None:
    """The CameraInfo topic of an image's own camera; None where it has none with messages."""
    base = base_of(topic)
    plain = _IMAGE_NAME.sub("", base)
    names = dict.fromkeys(
        (f"{base}/camera_info", f"{plain}/camera_info", f"{_parent(base)}/camera_info")
    )
    found = [name for name in names if topics.get(name) == CAMERA_INFO]
    return next((name for name in found if counts is None or counts.get(name)), None)


def _parent(topic: str) -> str:
    return topic.rsplit("/", 1)[0]


class Choice:
    """Chooses topics for sensors; `topics` has message types, `counts` messages by topic."""

    def __init__(self, topics: Mapping[str, str], counts: Mapping[str, int] | None) -> None:
        self._topics = topics
        self._counts = counts

    def candidates(self, modality: Modality, taken: Collection[str]) -> list[Candidate]:
        """Topics that may be the sensor's, the best first, then those that are passed over."""
        found = []
        for topic, kind in self._topics.items():
            if kind not in TYPES[modality] or topic in taken:
                continue
            base = base_of(topic).lower()
            word = _word(base, WORDS[modality])
            packed_depth = modality == Modality.DEPTH and topic.endswith("/compressedDepth")
            if word is None and not packed_depth:
                continue
            why_not = self._why_not(modality, topic, base, taken)
            found.append(Candidate(topic, why_not, self._rank(modality, topic, base, word or 0)))
        return sorted(found, key=lambda c: (bool(c.why_not), c.rank))

    def label(self, taken: Collection[str]) -> str | None:
        """The topic of the ground truth, if there is one."""
        fits = []
        for topic, kind in self._topics.items():
            word = _word(base_of(topic).lower(), LABEL_WORDS)
            free = topic not in taken and self._filled(topic) and "depth" not in topic.lower()
            if kind in PICTURES and word is not None and free:
                fits.append((word, PICTURES.index(kind), len(topic), topic))
        return min(fits)[-1] if fits else None

    def _filled(self, topic: str) -> bool:
        return self._counts is None or bool(self._counts.get(topic))

    def _why_not(self, modality: Modality, topic: str, base: str, taken: Collection[str]) -> str:
        if not self._filled(topic):
            return "no messages"
        if modality == Modality.RGB:
            if topic.endswith("/compressedDepth"):
                return "no transport of colours"
            return next((why for why, words in _NO_PICTURE if words.search(base)), "")
        if modality == Modality.DEPTH:
            named = base.replace("ground_truth", "")
            wrong = next((why for why, words in _NO_PICTURE[2:3] if words.search(named)), "")
            if _COLOUR.search(base) and "depth" not in base:
                return "a colour camera's"
            if not _OF_STEREO.search(topic.lower()):
                return "a picture of a stereo camera"
            return wrong or ("infrared" if _SECOND_CHOICE.search(base) else "")
        if modality == Modality.LIDAR:
            return self._why_no_lidar(base, taken)
        return ""

    def _why_no_lidar(self, base: str, taken: Collection[str]) -> str:
        if "semantic" in base or "radar" in base.replace("lidar", "") or _MAP.search(base):
            return "no LiDAR's own"
        if "depth" in base or base.endswith("points2"):
            return "a depth camera's cloud"
        if _word(base, WORDS[Modality.LIDAR][:_SENSOR_OF_ITS_OWN]) is not None:
            return ""
        first = base.split("/")[1]
        cameras = [t for t, k in self._topics.items() if k in PICTURES and "depth" in t.lower()]
        if any(t.lower().split("/")[1] == first for t in cameras) or self._stands_by_stereo(first):
            return "a depth camera's cloud"
        return ""

    def _stands_by_stereo(self, first: str) -> bool:
        return any(t.lower().startswith(f"/{first}/stereo/") for t in self._topics)

    def _rank(self, modality: Modality, topic: str, base: str, word: int) -> tuple:
        kinds: Sequence[str] = TYPES[modality]
        kind = kinds.index(self._topics[topic])
        if modality == Modality.DEPTH:
            kind = 0 if kind == 0 else 1 if topic.endswith("/compressedDepth") else 2
        info = info_of(topic, self._topics, self._counts)
        alone = modality != Modality.LIDAR and not (info and self._filled(info))
        odd = _SECOND_CHOICE.search(base) or _OF_EVENTS.search(base)
        second = modality == Modality.RGB and bool(odd)
        position = next((i for i, p in enumerate(_POSITIONS) if p.search(base)), len(_POSITIONS))
        if modality == Modality.EVENT:
            return (kind, word, alone, position, len(topic), topic)
        return (second, alone, word, position, kind, "rect" in base, len(topic), topic)


def _word(base: str, words: Sequence[str]) -> int | None:
    return next((i for i, word in enumerate(words) if word in base), None)


def told(modality: Modality, chosen: str | None, candidates: Sequence[Candidate]) -> str | None:
    """What was chosen of several, and why the others were not; None where there was no choice."""
    others = [c for c in candidates if c.topic != chosen]
    if not others:
        return None
    passed = ", ".join(f"{c.topic} ({c.why_not or 'fits less'})" for c in others[:8])
    more = f" and {len(others) - 8} more" if len(others) > 8 else ""
    took = (
        f"{modality.label}: {chosen} was taken" if chosen else f"{modality.label}: none was taken"
    )
    return f"{took}, passed over: {passed}{more}"


def others(topics: Mapping[str, str]) -> list[str]:
    """Topics of sensors whose messages are not read, and what to do about it."""
    read = {kind for kinds in TYPES.values() for kind in kinds}
    said = []
    for topic, kind in topics.items():
        do = next((do for end, do in KNOWN_OTHERS.items() if f"/{kind}".endswith(f"/{end}")), "")
        if kind not in read and do:
            said.append(f"{topic} is {kind}, which is not read: {do}")
    return said
