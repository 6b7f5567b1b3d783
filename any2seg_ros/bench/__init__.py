"""Benchmarks: one module each, with SECTION and `run() -> dict`."""
