"""Benchmarks: one module each, with SECTION and `run() -> dict`.

And attacks, commands of their own: faults, fuzz and kills.
"""
