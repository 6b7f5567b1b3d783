"""The verbs of `any2seg`, one file each; each has `register(app)`."""
