"""Words of EVT 3.0, for tests: the type is in bits 15 to 12."""

from __future__ import annotations


def addr_y(y):
    return 0x0 << 12 | y


def addr_x(x, p):
    return 0x2 << 12 | p << 11 | x


def base_x(x, p):
    return 0x3 << 12 | p << 11 | x


def vect_12(bits):
    return 0x4 << 12 | bits


def vect_8(bits):
    return 0x5 << 12 | bits


def time_low(t):
    return 0x6 << 12 | t


def time_high(t):
    return 0x8 << 12 | t
