"""The verbs of `any2seg`, one file each: a function of the same name; its docstring is its help."""
