"""Peak memory of replaying a bag, and one ten times as long, each in its own process.

`python -m any2seg_ros.bench.replay BAG TIMES` replays BAG repeated TIMES times and prints the peak.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from any2seg_ros.bags import typestore
from any2seg_ros.bags.stamps import header_stamp, restamp
from any2seg_ros.resources import find

SECTION = "replay"
LATCHED = "/tf_static"
_BEFORE, _AFTER = 60_000_000, 10_000_000
"""ns around a frame's stamp in which its measurements are stamped."""


def run(bag: Path | None = None) -> dict:
    """Peak memory in MB for the demo bag, once and repeated ten times, and the ratio."""
    path = bag or find("demo_data/streets")
    peaks = {}
    for times in (1, 10):
        command = [sys.executable, "-m", "any2seg_ros.bench.replay", str(path), str(times)]
        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[times] = json.loads(finished.stdout.splitlines()[-1])
    return {
        "frames": {str(times): one["frames"] for times, one in peaks.items()},
        "peak_mb": {str(times): one["peak_mb"] for times, one in peaks.items()},
        "peak_10_vs_1": peaks[10]["peak_mb"] / peaks[1]["peak_mb"],
    }


def repeat(bag: Path, out: Path, times: int, every: int = 1) -> None:
    """Write a bag that repeats a bag `times` times, with stamps that continue.

    every: only what belongs to one frame of so many is written, another one in each round.
    """
    writer = Writer(out, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with Reader(bag) as reader, writer:
        length, types = reader.duration + 50_000_000, typestore()
        connections = {
            one.id: writer.add_connection(one.topic, one.msgtype, typestore=types)
            for one in reader.connections
        }
        triggers = _triggers(reader) if every > 1 else []
        for index in range(times):
            kept = triggers[7 * index % every :: every]
            for one, log_time, data in reader.messages():
                if one.topic == LATCHED and index:
                    continue
                if one.topic != LATCHED:
                    cdr = bytes(data)
                    if triggers and not _belongs(header_stamp(cdr), kept):
                        continue
                    data = restamp(cdr, header_stamp(cdr) + index * length)
                writer.write(connections[one.id], log_time + index * length, data)


def _triggers(reader: Reader) -> list[int]:
    """Stamps of the pictures, ns."""
    topics = [one for one in reader.connections if one.topic.startswith("/rgb/image")]
    return sorted(header_stamp(bytes(data)) for _, _, data in reader.messages(topics))


def _belongs(stamp: int, triggers: Sequence[int]) -> bool:
    """Whether a message of this stamp is of one of the frames: events come before their stamp."""
    return any(-_BEFORE <= stamp - trigger <= _AFTER for trigger in triggers)


def peak(bag: Path, times: int) -> dict:
    """Replay a bag repeated `times` times with a small random network; peak memory in MB."""
    from any2seg_ros.engine import EngineConfig, Segmenter
    from any2seg_ros.network import Any2Seg, checkpoints
    from any2seg_ros.network.any2seg import NetworkConfig
    from any2seg_ros.network.checkpoints import Metadata
    from any2seg_ros.replay.run import Replay, ReplayConfig

    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        network = Any2Seg(NetworkConfig(encoder="mit_b0", width=32))
        checkpoints.save(weights, network, Metadata(size=(64, 64)))
        repeat(bag, Path(folder) / "bag", times)
        segmenter = Segmenter.open(EngineConfig(str(weights), "torch", "cpu", threads=1))
        config = ReplayConfig(outputs=("mask", "status"))
        report = Replay(Path(folder) / "bag", segmenter, config).run(Path(folder) / "out", "random")
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"frames": report["frames"], "peak_mb": peak_kb / 1024}


if __name__ == "__main__":
    print(json.dumps(peak(Path(sys.argv[1]), int(sys.argv[2]))))
