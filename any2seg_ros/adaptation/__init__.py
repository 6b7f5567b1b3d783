"""Adapts weights to a vehicle's own drives, without labels: its sensors learn from each other."""
