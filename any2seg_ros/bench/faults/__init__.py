"""Faults, one after the other, against the node as a process over DDS.

`python -m any2seg_ros.bench.faults --help` says how. matrix: the table of faults; spoiling and
graph: what they do; vehicle and scene: to whom; measuring: what is made of it.
"""
