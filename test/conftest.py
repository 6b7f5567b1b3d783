"""Every test on one thread of a network's library, and with a cache of graphs of its own.

Tests compute little: threads of theirs would mostly wait for each other, and on a machine that is
busy with other programs for whole turns of the scheduler.
"""

from __future__ import annotations

import os

# Read when numpy, torch and numba are imported, here and in processes that tests start.
for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
