"""Mutated messages and files against the code that reads them.

`python -m any2seg_ros.bench.fuzz --help` says how. mutation: what is changed; samples and messages:
what a node receives; files: what the tools read; watching: what must not happen.
"""
