"""What is timed: one module a thing, each with SECTION and `run() -> dict`."""
