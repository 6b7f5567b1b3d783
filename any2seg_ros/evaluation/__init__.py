"""How good a network is: every subset of sensors, every failure, on data sets and on bags."""
