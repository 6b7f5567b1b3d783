"""Street objects: each faces +x and stands on the origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from any2seg_ros.simulation.materials import M
from any2seg_ros.simulation.mesh import Appearance, Color, Mesh, about_y, blob, box, column, join
from any2seg_ros.taxonomy import DELIVER

CLASS = {name: index for index, name in enumerate(DELIVER.classes)}
"""Class id by DELIVER's name."""

Rng = np.random.Generator

_CAR_COLORS: list[Color] = [
    (0.75, 0.76, 0.78), (0.03, 0.03, 0.035), (0.35, 0.36, 0.38), (0.55, 0.03, 0.03),
    (0.03, 0.09, 0.38), (0.08, 0.22, 0.12), (0.75, 0.6, 0.1), (0.3, 0.05, 0.22), (0.62, 0.3, 0.1),
]  # fmt: skip
_BUS_COLORS: list[Color] = [
    (0.72, 0.1, 0.08), (0.8, 0.62, 0.08), (0.12, 0.35, 0.6), (0.15, 0.5, 0.3), (0.8, 0.8, 0.82),
]  # fmt: skip
_CARGO_COLORS: list[Color] = [
    (0.85, 0.85, 0.87), (0.2, 0.35, 0.65), (0.75, 0.35, 0.1), (0.3, 0.5, 0.3), (0.55, 0.12, 0.1),
]  # fmt: skip
_CLOTHES: list[Color] = [
    (0.6, 0.1, 0.1), (0.1, 0.18, 0.45), (0.75, 0.7, 0.6), (0.08, 0.08, 0.09), (0.2, 0.4, 0.25),
    (0.7, 0.5, 0.1), (0.4, 0.2, 0.45), (0.75, 0.35, 0.45),
]  # fmt: skip
_SKINS: list[Color] = [(0.72, 0.48, 0.36), (0.5, 0.3, 0.2), (0.22, 0.12, 0.08), (0.8, 0.58, 0.46)]


def pick(rng: Rng, items: list[Color]) -> Color:
    """A colour of the list, varied slightly."""
    color = np.array(items[rng.integers(len(items))]) * rng.uniform(0.85, 1.15, 3)
    return tuple(float(c) for c in color)  # type: ignore[return-value]


def surface(
    name: str, material: str, tint: Color = (1.0, 1.0, 1.0), emission: float = 0.0
) -> Appearance:
    """The appearance of a DELIVER class in a named material."""
    return Appearance(CLASS[name], M[material], tint, emission)


def _wheels(label: str, x: tuple[float, ...], track: float, radius: float) -> list[Mesh]:
    tyre, hub = surface(label, "tyre"), surface(label, "steel")
    parts = []
    for at in x:
        for side in (-1, 1):
            center = (at, side * (track / 2), radius)
            parts.append(column(radius, 0.22, tyre, center, 10, axis="y"))
            parts.append(column(radius * 0.55, 0.24, hub, center, 8, axis="y"))
    return parts


def _lamps(label: str, front: float, rear: float, track: float, z: float) -> list[Mesh]:
    white, red = (
        surface(label, "paint", (1, 1, 0.9), 0.9),
        surface(label, "paint", (0.8, 0.02, 0.02), 0.6),
    )
    return [
        box((0.06, 0.34, 0.15), (x, side * track * 0.38, z), appearance)
        for x, appearance in ((front, white), (rear, red))
        for side in (-1, 1)
    ]


def car(rng: Rng) -> Mesh:
    """Saloon, estate, small car or van, with glass, wheels, lamps and plates."""
    kind = rng.choice(["saloon", "estate", "small", "suv", "van"])
    length, width, belt, roof, low = {
        "saloon": (4.6, 1.82, 0.95, 1.45, 0.62), "estate": (4.7, 1.84, 0.95, 1.5, 0.82),
        "small": (3.7, 1.7, 0.98, 1.5, 0.72), "suv": (4.6, 1.92, 1.12, 1.75, 0.78),
        "van": (5.0, 1.98, 1.2, 2.05, 0.9),
    }[kind]  # fmt: skip
    body = surface("Cars", "paint", pick(rng, _CAR_COLORS))
    dark, glass = surface("Cars", "tyre"), surface("Cars", "glass")
    cabin = length * {"saloon": 0.56, "estate": 0.66, "small": 0.68, "suv": 0.68, "van": 0.8}[kind]
    shift = -length * {"saloon": 0.04, "estate": 0.12, "small": 0.1, "suv": 0.1, "van": 0.08}[kind]
    tall = roof - belt
    parts = [
        box((length, width, belt - 0.28), (0, 0, 0.28 + (belt - 0.28) / 2), body, (0.96, 0.94)),
        box((length * 0.94, width * 0.95, 0.14), (0, 0, 0.25), dark),
        box((cabin, width * 0.93, tall), (shift, 0, belt + tall / 2), glass, (low, 0.82), body),
        box((cabin * low * 1.02, width * 0.78, 0.07), (shift, 0, roof + 0.02), body),
        box((0.12, width * 0.9, tall), (shift - 0.1, 0, belt + tall / 2), body, (1.0, 0.84)),
        box((0.05, 0.5, 0.11), (length / 2, 0, 0.48), surface("Cars", "marking")),
        box((0.05, 0.5, 0.11), (-length / 2, 0, 0.62), surface("Cars", "marking")),
        box((0.05, width * 0.6, 0.16), (length / 2 - 0.02, 0, 0.68), dark),
    ]
    parts += _wheels("Cars", (length * 0.31, -length * 0.3), width - 0.12, 0.33)
    return join(parts + _lamps("Cars", length / 2 - 0.05, -length / 2 + 0.05, width, belt - 0.2))


def bus(rng: Rng) -> Mesh:
    """A city bus, 9.5 to 12 m long and 3 m tall, with a lit destination sign."""
    length, width, height = rng.uniform(9.5, 12.0), 2.5, rng.uniform(2.9, 3.2)
    color = pick(rng, _BUS_COLORS)
    side, roof = (
        surface("Bus", "bus_side", color),
        surface("Bus", "paint", (0.8, 0.8, 0.8)),
    )
    dark, glass = surface("Bus", "tyre"), surface("Bus", "glass")
    h = height - 0.35
    parts = [
        box((length, width, h), (0, 0, 0.35 + h / 2), side, top=roof),
        box((0.08, width * 0.92, 1.5), (length / 2, 0, 1.75), glass),
        box((0.08, width * 0.8, 0.9), (-length / 2, 0, 2.1), glass),
        box(
            (0.1, width * 0.7, 0.3),
            (length / 2 + 0.01, 0, height - 0.25),
            surface("Bus", "paint", (1, 0.55, 0.1), 0.7),
        ),
        box((length * 0.98, width * 0.96, 0.2), (0, 0, 0.3), dark),
        box((length * 0.5, width * 0.7, 0.25), (-0.5, 0, height + 0.1), roof),
    ]
    parts += _wheels("Bus", (length * 0.32, -length * 0.28), width - 0.1, 0.48)
    return join(parts + _lamps("Bus", length / 2, -length / 2, width, 0.8))


def truck(rng: Rng) -> Mesh:
    """A truck with a box, a tank or an open load."""
    length, width = rng.uniform(6.5, 9.5), 2.5
    paint = surface("Truck", "paint", pick(rng, _CAR_COLORS))
    cargo = surface("Truck", "cargo", pick(rng, _CARGO_COLORS))
    dark, glass = surface("Truck", "tyre"), surface("Truck", "glass")
    front = length / 2
    bed = length - 2.3
    middle = front - 2.3 - bed / 2
    parts = [
        box((1.9, 2.4, 2.2), (front - 0.95, 0, 1.6), paint, (0.9, 0.96)),
        box((0.1, 2.1, 0.9), (front - 0.05, 0, 2.05), glass),
        box((0.8, 2.44, 0.7), (front - 0.8, 0, 2.05), glass),
        box((length * 0.97, 1.4, 0.3), (-0.1, 0, 0.75), dark),
        box((0.1, 2.2, 0.35), (front + 0.02, 0, 0.75), dark),
    ]
    kind = rng.integers(3)
    if kind == 0:
        parts.append(column(1.15, bed, surface("Truck", "steel"), (middle, 0, 2.1), 12, axis="x"))
    elif kind == 1:
        parts.append(box((bed, width, 1.0), (middle, 0, 1.45), cargo))
        parts.append(
            blob((bed * 0.45, 1.0, 0.7), (middle, 0, 1.9), surface("Truck", "soil"), 0.1, rng)
        )
    else:
        parts.append(box((bed, width, 2.5), (middle, 0, 2.2), cargo))
    parts += _wheels("Truck", (front - 1.2, middle - bed * 0.2, middle - bed * 0.35), 2.3, 0.5)
    return join(parts + _lamps("Truck", front, -front + 0.05, width, 0.85))


def person(rng: Rng, pose: str = "walk", label: str = "Pedestrian") -> Mesh:
    """A person of 1.1 to 1.95 m, walking, standing or riding."""
    tall = rng.uniform(1.55, 1.95) if rng.uniform() < 0.85 else rng.uniform(1.1, 1.4)
    k = tall / 1.75
    coat = surface(label, "cloth", pick(rng, _CLOTHES))
    trousers = surface(label, "cloth", pick(rng, _CLOTHES[:4]))
    skin, hair = (
        surface(label, "plain", pick(rng, _SKINS)),
        surface(label, "cloth", (0.1, 0.07, 0.05)),
    )
    stride = {"walk": rng.uniform(0.2, 0.5), "stand": 0.05, "ride": 0.0}[pose] * rng.choice([-1, 1])
    leg = box((0.17 * k, 0.16 * k, 0.86 * k), (0, 0, 0.43 * k), trousers, (1.1, 1.1))
    hip = (0.0, 0.0, 0.86 * k)
    arm = box((0.12 * k, 0.11 * k, 0.62 * k), (0, 0, 1.12 * k), coat)
    shoulder = (0.0, 0.0, 1.42 * k)
    parts = []
    for side in (-1, 1):
        swing = stride * side if pose != "ride" else -0.9
        parts.append(leg.rotated(about_y(-swing), hip).placed(0, side * 0.1 * k))
        reach = -stride * side if pose != "ride" else -1.0
        parts.append(
            arm.rotated(about_y(-reach if pose != "ride" else -1.0), shoulder).placed(
                0, side * 0.27 * k
            )
        )
    lean = about_y(0.35 if pose == "ride" else 0.04)
    upper = [
        box((0.25 * k, 0.42 * k, 0.62 * k), (0, 0, 1.14 * k), coat, (1.0, 0.9)),
        blob((0.1 * k, 0.09 * k, 0.13 * k), (0.01, 0, 1.61 * k), skin, subdivisions=1),
        blob((0.11 * k, 0.1 * k, 0.1 * k), (-0.02, 0, 1.67 * k), hair, subdivisions=1),
    ]
    if pose != "ride" and rng.uniform() < 0.3:
        upper.append(
            box(
                (0.18, 0.3, 0.4),
                (-0.2, 0, 1.2 * k),
                surface(label, "cloth", pick(rng, _CLOTHES)),
            )
        )
    return join(parts + [part.rotated(lean, hip) for part in upper])


def _bar(start: np.ndarray, end: np.ndarray, width: float, appearance: Appearance) -> Mesh:
    """A thin box between two points of the x-z plane."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    span = end - start
    length = float(np.hypot(*span))
    bar = box((length, width, width), (length / 2, 0, 0), appearance)
    return bar.rotated(about_y(-float(np.arctan2(span[1], span[0])))).placed(start[0], 0, start[1])


def bicycle(rng: Rng, rider: bool = True) -> Mesh:
    """A bicycle; its rider is a Pedestrian, as in DELIVER."""
    paint = surface("TwoWheeler", "paint", pick(rng, _CAR_COLORS + _CLOTHES))
    tyre = surface("TwoWheeler", "tyre")
    parts = []
    for x in (-0.52, 0.52):
        parts += [
            _bar(np.array([x + 0.34 * np.cos(a), 0.35 + 0.34 * np.sin(a)]),
                 np.array([x + 0.34 * np.cos(b), 0.35 + 0.34 * np.sin(b)]), 0.07, tyre)
            for a, b in zip(np.arange(10) * np.pi / 5, np.arange(1, 11) * np.pi / 5, strict=True)
        ]  # fmt: skip
        parts.append(box((0.62, 0.02, 0.03), (x, 0, 0.35), tyre))
        parts.append(box((0.03, 0.02, 0.62), (x, 0, 0.35), tyre))
    joints = [
        ((-0.52, 0.35), (0.0, 0.32)),
        ((-0.52, 0.35), (-0.15, 0.82)),
        ((0.0, 0.32), (-0.2, 0.95)),
        ((0.0, 0.32), (0.36, 0.85)),
        ((-0.15, 0.82), (0.36, 0.85)),
        ((0.52, 0.35), (0.32, 1.05)),
    ]
    parts += [_bar(np.array(a), np.array(b), 0.06, paint) for a, b in joints]
    parts.append(box((0.26, 0.16, 0.08), (-0.22, 0, 0.99), tyre))
    parts.append(box((0.06, 0.56, 0.06), (0.32, 0, 1.06), tyre))
    if rng.uniform() < 0.5:
        parts.append(box((0.34, 0.4, 0.3), (-0.52, 0, 0.88), paint))
    if rider:
        parts.append(person(rng, "ride").placed(-0.22, 0, 0.14))
    return join(parts)


def motorcycle(rng: Rng, rider: bool = True) -> Mesh:
    """A motorcycle, with or without a rider."""
    paint = surface("TwoWheeler", "paint", pick(rng, _CAR_COLORS))
    tyre, steel = surface("TwoWheeler", "tyre"), surface("TwoWheeler", "steel")
    parts = [column(0.32, 0.17, tyre, (x, 0, 0.32), 10, axis="y") for x in (-0.7, 0.72)]
    parts += [
        box((0.6, 0.34, 0.42), (0.0, 0, 0.5), steel),
        box((0.55, 0.34, 0.28), (0.15, 0, 0.85), paint, (0.8, 0.7)),
        box((0.8, 0.3, 0.16), (-0.5, 0, 0.82), tyre),
        box((0.5, 0.22, 0.12), (-0.7, 0, 0.72), paint),
        _bar(np.array([0.72, 0.32]), np.array([0.45, 1.05]), 0.1, steel),
        box((0.06, 0.7, 0.06), (0.42, 0, 1.08), tyre),
        box((0.1, 0.3, 0.3), (0.58, 0, 0.98), paint),
        box(
            (0.05, 0.16, 0.14),
            (0.64, 0, 0.92),
            surface("TwoWheeler", "paint", (1, 1, 0.9), 0.9),
        ),
        box(
            (0.05, 0.14, 0.08),
            (-0.95, 0, 0.78),
            surface("TwoWheeler", "paint", (0.8, 0, 0), 0.6),
        ),
    ]
    if rider:
        parts.append(person(rng, "ride").placed(-0.35, 0, 0.0))
    return join(parts)


def tree(rng: Rng, height: float | None = None) -> Mesh:
    """A broad-leaved or a conical tree; trunk and crown are Vegetation, as in DELIVER."""
    height = height or rng.uniform(4.5, 9.0)
    tint = pick(rng, [(0.9, 1.0, 0.8), (0.7, 0.85, 0.7), (1.3, 1.0, 0.6), (0.8, 1.1, 0.6)])
    crown, bark = surface("Vegetation", "leaves", tint), surface("Vegetation", "bark")
    trunk = height * rng.uniform(0.28, 0.4)
    parts = [column(0.09 + 0.016 * height, trunk + 0.8, bark, sides=6, top_radius=0.1)]
    if rng.uniform() < 0.2:
        for k in range(4):
            radius = (0.30 - 0.06 * k) * height * 0.55
            z = trunk * 0.5 + k * (height - trunk * 0.5) / 4.6
            parts.append(column(radius, height * 0.3, crown, (0, 0, z), 9, top_radius=0.05))
        return join(parts)
    spread = height * rng.uniform(0.2, 0.28)
    parts.append(blob((spread, spread, spread * 0.9), (0, 0, height - spread), crown, 0.22, rng))
    for _ in range(3):
        x, y = rng.uniform(-0.7, 0.7, 2) * spread
        r = spread * rng.uniform(0.55, 0.8)
        z = trunk + rng.uniform(0.45, 0.8) * (height - trunk - spread * 0.6)
        parts.append(blob((r, r, r * 0.85), (x, y, z), crown, 0.22, rng))
    return join(parts)


def bush(rng: Rng) -> Mesh:
    """A bush of up to 1.4 m."""
    r = rng.uniform(0.45, 0.9)
    appearance = surface("Vegetation", "leaves", pick(rng, [(0.8, 1.0, 0.7), (1.0, 1.0, 0.6)]))
    return blob((r * 1.2, r, r * 0.85), (0, 0, r * 0.55), appearance, 0.25, rng)


def hedge(rng: Rng, length: float) -> Mesh:
    """A trimmed hedge along x."""
    h = rng.uniform(0.7, 1.3)
    return box(
        (length, 0.8, h),
        (0, 0, h / 2),
        surface("Vegetation", "leaves", (0.8, 1.0, 0.7)),
        (1, 0.9),
    )


def street_light(rng: Rng) -> Mesh:
    """A lamp post with an arm to +x; the lamp is at x = 1.5, z = 6.4."""
    gray = surface(
        "Pole", "plain", pick(rng, [(0.28, 0.3, 0.32), (0.12, 0.2, 0.16), (0.6, 0.6, 0.6)])
    )
    return join([
        column(0.13, 6.5, gray, sides=8, top_radius=0.07),
        column(0.2, 0.9, gray, sides=8),
        box((1.7, 0.08, 0.08), (0.8, 0, 6.5), gray),
        box((0.7, 0.3, 0.1), (1.5, 0, 6.45), surface("Pole", "paint", (1.0, 0.9, 0.7), 1.5)),
    ])  # fmt: skip


def utility_pole(rng: Rng) -> Mesh:
    """A wooden pole with a cross-arm."""
    wood = surface("Pole", "bark")
    return join([column(0.17, 8.0, wood, sides=8), box((0.12, 2.0, 0.14), (0, 0, 7.3), wood)])


def bollard(rng: Rng) -> Mesh:
    """A short post at the kerb."""
    return column(0.1, 1.0, surface("Pole", "plain", (0.2, 0.2, 0.22)), sides=8)


def traffic_light(rng: Rng) -> Mesh:
    """Signals on a pole, and mostly on an arm along -y; they face -x."""
    pole = surface("Pole", "plain", (0.3, 0.31, 0.33))
    parts = [column(0.1, 5.6, pole, sides=8)]
    arm = rng.uniform(2.5, 4.0) if rng.uniform() < 0.75 else 0.0
    if arm:
        parts.append(box((0.1, arm, 0.1), (0, -arm / 2, 5.5), pole))
        parts.append(_signal(rng, 1.15).placed(-0.1, -arm, 5.3))
    parts.append(_signal(rng, 1.0).placed(-0.16, -0.05, 2.9))
    return join(parts)


def _signal(rng: Rng, scale: float) -> Mesh:
    case = surface("TrafficLight", "plain", (0.05, 0.055, 0.05))
    s = 1.15 * scale
    parts = [
        box((0.25 * s, 0.42 * s, 1.1 * s), (0, 0, 0), case),
        box((0.05, 0.62 * s, 1.32 * s), (0.1, 0, 0), case),
    ]
    lit = rng.integers(3)
    for k, color in enumerate([(1.0, 0.05, 0.03), (1.0, 0.6, 0.05), (0.05, 1.0, 0.4)]):
        tint = color if k == lit else tuple(0.12 * c for c in color)
        appearance = surface("TrafficLight", "plain", tint, 3.0 if k == lit else 0.0)  # type: ignore[arg-type]
        parts.append(
            box((0.06, 0.24 * s, 0.24 * s), (-0.14 * s, 0, (0.34 - 0.34 * k) * s), appearance)
        )
    return join(parts)


def traffic_sign(rng: Rng) -> Mesh:
    """A round, square, triangular or direction sign on a post; it faces -x."""
    post, back = surface("Pole", "steel"), surface("TrafficSign", "steel")
    z, r = rng.uniform(2.0, 2.5), rng.uniform(0.36, 0.46)
    red, white = (
        surface("TrafficSign", "plain", (0.8, 0.04, 0.04)),
        surface("TrafficSign", "marking", (1.2, 1.2, 1.2)),
    )
    blue, black = (
        surface("TrafficSign", "plain", (0.03, 0.16, 0.6)),
        surface("TrafficSign", "plain", (0.03,) * 3),
    )
    parts = [column(0.045, z + r, post, sides=6)]

    def disc(radius: float, x: float, appearance: Appearance, sides: int) -> Mesh:
        return column(radius, 0.03, appearance, (x, 0, z), sides, axis="x")

    kind = rng.integers(5)
    if kind == 0:
        parts += [
            disc(r, -0.06, red, 16),
            disc(r * 0.76, -0.085, white, 16),
            box((0.02, r * 0.7, r * 0.5), (-0.1, 0, z), black),
        ]
    elif kind == 1:
        parts += [disc(r, -0.06, blue, 16), box((0.02, 0.13, r * 1.2), (-0.085, 0, z), white)]
    elif kind == 2:
        parts += [
            disc(r * 1.15, -0.06, red, 3),
            disc(r * 0.78, -0.085, white, 3),
            box((0.02, 0.08, r * 0.6), (-0.1, 0, z), black),
        ]
    elif kind == 3:
        size = 2 * r
        parts += [
            box((0.03, size, size), (-0.06, 0, z), blue),
            box((0.02, size * 0.5, size * 0.6), (-0.085, 0, z), white),
        ]
    else:
        appearance = (
            surface("TrafficSign", "plain", (0.75, 0.6, 0.05)) if rng.uniform() < 0.5 else blue
        )
        parts += [
            box((0.03, 1.5, 0.55), (-0.06, 0, z), appearance),
            box((0.02, 1.1, 0.1), (-0.085, 0, z + 0.1), white),
            box((0.02, 0.8, 0.08), (-0.085, 0, z - 0.1), white),
        ]
    parts.append(box((0.02, r, r), (-0.03, 0, z), back))
    return join(parts)


def gantry(rng: Rng, span: float) -> Mesh:
    """A gantry along y with direction signs, which face -x."""
    post = surface("Pole", "steel")
    blue, white = (
        surface("TrafficSign", "plain", (0.03, 0.16, 0.5)),
        surface("TrafficSign", "marking", (1.2, 1.2, 1.2)),
    )
    parts = [column(0.16, 6.6, post, (0, side * span / 2, 0), 8) for side in (-1, 1)]
    parts.append(box((0.25, span, 0.3), (0, 0, 6.4), post))
    for y in (-span / 4, span / 4):
        parts += [box((0.06, span * 0.36, 1.5), (-0.2, y, 6.2), blue)]
        parts += [
            box((0.03, span * 0.26, 0.16), (-0.25, y, 6.5 - 0.4 * k), white) for k in range(2)
        ]
    return join(parts)


def _bench(rng: Rng) -> Mesh:
    wood, iron = (
        surface("Static", "planks"),
        surface("Static", "plain", (0.1, 0.1, 0.1)),
    )
    parts = [
        box((0.5, 1.8, 0.08), (0, 0, 0.45), wood),
        box((0.08, 1.8, 0.5), (-0.25, 0, 0.75), wood),
    ]
    return join(parts + [box((0.5, 0.08, 0.45), (0, y, 0.22), iron) for y in (-0.75, 0.75)])


def _shelter(rng: Rng) -> Mesh:
    iron, glass = (
        surface("Static", "plain", (0.13, 0.16, 0.2)),
        surface("Static", "glass"),
    )
    parts = [
        box((1.7, 4.0, 0.16), (0, 0, 2.5), iron),
        box((0.06, 3.8, 1.9), (-0.75, 0, 1.3), glass),
    ]
    parts += [
        box((0.1, 0.1, 2.5), (x, y, 1.25), iron) for x in (-0.75, 0.7) for y in (-1.9, 0, 1.9)
    ]
    parts.append(box((1.3, 0.12, 1.8), (0, 1.9, 1.3), surface("Static", "poster")))
    return join([*parts, _bench(rng).placed(-0.3, 0)])


def _planter(rng: Rng) -> Mesh:
    size = rng.uniform(0.9, 1.6)
    pot = box((0.9, size, 0.65), (0, 0, 0.32), surface("Static", "concrete"), (1.1, 1.05))
    green = surface("Vegetation", "leaves")
    return join([pot, blob((0.4, size * 0.45, 0.35), (0, 0, 0.75), green, 0.25, rng)])


def _hydrant(rng: Rng) -> Mesh:
    red = surface("Static", "paint", (0.75, 0.08, 0.05))
    return join(
        [
            column(0.16, 0.8, red, sides=8),
            blob((0.19, 0.19, 0.16), (0, 0, 0.82), red, subdivisions=1),
            column(0.08, 0.5, red, (0, 0, 0.55), 6, axis="y"),
        ]
    )


def _cabinet(rng: Rng) -> Mesh:
    appearance = surface("Static", "plain", (0.42, 0.46, 0.42))
    return box((0.5, rng.uniform(0.8, 1.5), 1.25), (0, 0, 0.62), appearance)


def static_thing(rng: Rng) -> Mesh:
    """Fixed street furniture: bench, shelter, planter, hydrant or cabinet."""
    makers: list[Callable[[Rng], Mesh]] = [_bench, _shelter, _shelter, _planter, _hydrant, _cabinet]
    return makers[rng.integers(len(makers))](rng)


def _bin(rng: Rng) -> Mesh:
    color = pick(rng, [(0.1, 0.3, 0.12), (0.15, 0.2, 0.4), (0.5, 0.4, 0.05), (0.1, 0.1, 0.1)])
    appearance = surface("Dynamic", "plain", color)
    parts = [
        box((0.7, 0.62, 1.0), (0, 0, 0.55), appearance, (1.15, 1.1)),
        box((0.85, 0.72, 0.1), (0, 0, 1.1), appearance),
    ]
    return join(
        parts + [column(0.1, 0.7, surface("Dynamic", "tyre"), (-0.25, 0, 0.1), 6, axis="y")]
    )


def _cone(rng: Rng) -> Mesh:
    orange, white = (
        surface("Dynamic", "plain", (0.95, 0.25, 0.03)),
        surface("Dynamic", "marking", (1.2, 1.2, 1.2)),
    )
    return join(
        [
            box((0.4, 0.4, 0.05), (0, 0, 0.03), orange),
            column(0.15, 0.3, orange, (0, 0, 0.05), 8, 0.1),
            column(0.105, 0.15, white, (0, 0, 0.35), 8, 0.08),
            column(0.08, 0.2, orange, (0, 0, 0.5), 8, 0.04),
        ]
    )


def _barrier(rng: Rng) -> Mesh:
    stripes, leg = (
        surface("Dynamic", "stripes"),
        surface("Dynamic", "plain", (0.2, 0.2, 0.2)),
    )
    parts = [
        box((0.06, 2.0, 0.3), (0, 0, 0.95), stripes),
        box((0.06, 2.0, 0.2), (0, 0, 0.5), stripes),
    ]
    parts += [box((0.6, 0.08, 0.08), (0, y, 0.05), leg) for y in (-0.85, 0.85)]
    return join(parts + [box((0.07, 0.07, 1.1), (0, y, 0.55), leg) for y in (-0.85, 0.85)])


def _boxes(rng: Rng) -> Mesh:
    appearance = surface("Dynamic", "cargo", (0.55, 0.38, 0.2))
    parts = []
    for k in range(rng.integers(2, 5)):
        s = rng.uniform(0.4, 0.7)
        parts.append(
            box(
                (s, s, s),
                (rng.uniform(-0.4, 0.4), 0.6 * (k % 3 - 1), s / 2 + 0.5 * (k > 2)),
                appearance,
            )
        )
    return join(parts)


def _dog(rng: Rng) -> Mesh:
    fur = surface(
        "Dynamic", "cloth", pick(rng, [(0.3, 0.2, 0.1), (0.1, 0.1, 0.1), (0.7, 0.6, 0.5)])
    )
    parts = [
        box((0.7, 0.24, 0.28), (0, 0, 0.5), fur),
        blob((0.17, 0.12, 0.14), (0.45, 0, 0.72), fur, subdivisions=1),
        _bar(np.array([-0.35, 0.6]), np.array([-0.6, 0.85]), 0.06, fur),
    ]
    return join(
        parts
        + [box((0.08, 0.08, 0.4), (x, y, 0.2), fur) for x in (-0.28, 0.28) for y in (-0.08, 0.08)]
    )


def dynamic_thing(rng: Rng) -> Mesh:
    """A movable object: bin, cone, barrier, boxes or dog."""
    makers: list[Callable[[Rng], Mesh]] = [_bin, _bin, _cone, _barrier, _barrier, _boxes, _dog]
    return makers[rng.integers(len(makers))](rng)


def _stall(rng: Rng) -> Mesh:
    tint = pick(rng, [(1.0, 0.5, 0.4), (0.5, 0.7, 1.0), (0.6, 1.0, 0.5), (1.0, 0.9, 0.4)])
    cloth, wood = surface("Other", "awning", tint), surface("Other", "planks")
    parts = [
        box((2.2, 3.2, 0.7), (0, 0, 2.55), cloth, (0.15, 1.0)),
        box((1.3, 2.8, 0.9), (0, 0, 0.45), wood),
        box((0.05, 3.2, 0.35), (1.1, 0, 2.1), cloth),
    ]
    return join(
        parts
        + [box((0.08, 0.08, 2.3), (x, y, 1.15), wood) for x in (-0.95, 0.95) for y in (-1.5, 1.5)]
    )


def _advertising_column(rng: Rng) -> Mesh:
    poster, cap = (
        surface("Other", "poster"),
        surface("Other", "plain", (0.15, 0.28, 0.2)),
    )
    return join(
        [
            column(0.72, 3.0, poster, sides=14),
            column(0.85, 0.3, cap, (0, 0, 3.0), 14, 0.7),
            column(0.7, 0.5, cap, (0, 0, 3.3), 14, 0.05),
            column(0.8, 0.3, cap, sides=14),
        ]
    )


def _statue(rng: Rng) -> Mesh:
    bronze, stone = (
        Appearance(CLASS["Other"], M["plain"], (0.2, 0.42, 0.34)),
        surface("Other", "stones"),
    )
    figure = person(rng, "stand", "Other")
    figure.material[:] = bronze.material
    figure.tint[:] = bronze.tint
    return join([box((1.5, 1.5, 1.3), (0, 0, 0.65), stone, (0.8, 0.8)), figure.placed(0, 0, 1.3)])


def _billboard(rng: Rng) -> Mesh:
    iron = surface("Other", "plain", (0.2, 0.2, 0.22))
    parts = [box((0.2, 3.6, 2.4), (0, 0, 2.4), surface("Other", "poster"))]
    return join(parts + [box((0.18, 0.18, 1.3), (0, y, 0.6), iron) for y in (-1.2, 1.2)])


def other_thing(rng: Rng) -> Mesh:
    """An object without a class of its own: stall, advertising column, statue or billboard."""
    makers: list[Callable[[Rng], Mesh]] = [_stall, _stall, _advertising_column, _statue, _billboard]
    return makers[rng.integers(len(makers))](rng)


_FACADES = ["facade_plaster", "facade_brick", "facade_glass", "facade_panel", "facade_plaster"]
_PLASTERS: list[Color] = [
    (1.0, 0.9, 0.72), (0.95, 0.75, 0.55), (0.85, 0.87, 0.9), (1.0, 0.8, 0.7), (0.7, 0.75, 0.65),
    (0.75, 0.55, 0.45),
]  # fmt: skip


def building(rng: Rng, width: float, depth: float, floors: int) -> Mesh:
    """A building with its front at x = 0, facing +x; `width` along y, `depth` along -x."""
    name = _FACADES[rng.integers(len(_FACADES))]
    tint = (
        pick(rng, _PLASTERS)
        if name != "facade_brick"
        else pick(rng, [(1, 1, 1), (1.2, 1.1, 0.9), (0.8, 0.7, 0.7)])
    )
    wall, roof = (
        surface("Building", name, tint),
        surface("Building", "roof", pick(rng, [(1, 1, 1), (0.6, 0.8, 1.0)])),
    )
    flat = surface("Building", "concrete", (0.8, 0.8, 0.8))
    storey = 3.2
    base = 4.0 if rng.uniform() < 0.5 else 0.0
    height = floors * storey
    parts = []
    if base:
        parts.append(
            box(
                (depth, width, base),
                (-depth / 2, 0, base / 2),
                surface("Building", "shop", tint),
            )
        )
        if rng.uniform() < 0.5:
            parts.append(
                box(
                    (1.2, width * 0.8, 0.12),
                    (0.6, 0, base - 0.3),
                    surface("Building", "awning", tint),
                )
            )
    parts.append(box((depth, width, height), (-depth / 2, 0, base + height / 2), wall, top=flat))
    top = base + height
    if rng.uniform() < 0.45 and floors < 6:
        parts.append(
            box((depth + 0.6, width + 0.4, 2.6), (-depth / 2, 0, top + 1.3), roof, (0.15, 1.0))
        )
    else:
        parts.append(box((depth + 0.2, width + 0.1, 0.4), (-depth / 2, 0, top + 0.1), flat))
        parts.append(box((2.0, 2.5, 1.8), (-depth / 2, rng.uniform(-2, 2), top + 1.0), flat))
    if rng.uniform() < 0.4:
        for floor in range(1, floors):
            for y in np.arange(-width / 2 + 2, width / 2 - 1, 4.0):
                parts.append(
                    box(
                        (1.0, 2.0, 0.9),
                        (0.5, y, base + floor * storey + 0.45),
                        surface("Building", "plain", tint),
                    )
                )
    return join(parts)
