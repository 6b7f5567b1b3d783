"""`torchrun --nproc-per-node N -m any2seg_ros.training CONFIG`: train in several processes."""

from __future__ import annotations

import sys
from pathlib import Path

from any2seg_ros.training.run import train

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: torchrun --nproc-per-node N -m any2seg_ros.training CONFIG")
    try:
        train(Path(sys.argv[1]))
    except (ValueError, OSError) as error:
        sys.exit(f"any2seg train: {error}")
