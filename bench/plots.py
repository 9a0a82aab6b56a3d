"""Draws curves as SVG: no library, so that a benchmark needs nothing but what it measures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 160, 40, 50
COLOURS = ("#0060a8", "#60b0e8", "#d04000", "#208020", "#606060", "#b0b0b0", "#900090", "#d090d0")
STEPS = ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))
"""Of ticks in a decade; the second where there would be few."""
FEW = 4

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """
    One direction.

    @ivar logarithmic: equal ratios take equal room.
    @ivar ticks: where to write values; chosen by themselves if there are none.
    @ivar names: what to write there, if not the values.
    """

    label: str
    logarithmic: bool = True
    ticks: Sequence[float] = ()
    names: Sequence[str] = ()


def drawing(title: str, x: Axis, y: Axis, curves: Mapping[str, Points]) -> str:
    """
    An SVG document with a curve for each name. All values must be above 0 on a log axis.

    @param curves: one without points is not shown, but the others have the colours that they have
        beside it.
    """
    points = [point for curve in curves.values() for point in curve]
    across = _Scale(x, (each for each, _ in points), LEFT, WIDTH - RIGHT)
    up = _Scale(y, (each for _, each in points), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(WIDTH / 2, 20, title, size=14),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x.label),
        f'<g transform="rotate(-90 18 {(TOP + HEIGHT - BOTTOM) / 2})">'
        f"{_text(18, (TOP + HEIGHT - BOTTOM) / 2, y.label)}</g>",
    ]
    for at, name in across.marks():
        parts.append(_line(at, TOP, at, HEIGHT - BOTTOM))
        parts.append(_text(at, HEIGHT - BOTTOM + 18, name))
    for at, name in up.marks():
        parts.append(_line(LEFT, at, WIDTH - RIGHT, at))
        parts.append(_text(LEFT - 6, at + 4, name, anchor="end"))
    colours = dict(zip(curves, itertools.cycle(COLOURS), strict=False))
    shown = {name: curve for name, curve in curves.items() if curve}
    for number, (name, curve) in enumerate(shown.items()):
        colour = colours[name]
        places = [(across.place(a), up.place(b)) for a, b in sorted(curve)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(places) <= 20:
            parts += [
                f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places
            ]
        at = TOP + 20 * number + 10
        parts.append(_line(WIDTH - RIGHT + 12, at, WIDTH - RIGHT + 32, at, colour=colour, width=2))
        parts.append(_text(WIDTH - RIGHT + 38, at + 4, name, anchor="start"))
    return "\n".join([*parts, "</svg>", ""])


class _Scale:
    """From values to places on the paper."""

    def __init__(self, axis: Axis, values: Iterable[float], start: float, end: float) -> None:
        self._axis = axis
        self._start, self._end = start, end
        found = [*values, *axis.ticks]
        self._least, self._most = min(found), max(found)
        if not axis.logarithmic:
            self._least = min(0.0, self._least)
        if self._least == self._most:
            self._most = self._least * 2 or 1.0

    def place(self, value: float) -> float:
        """Where a value is."""
        shift = self._by(value) - self._by(self._least)
        return self._start + (self._end - self._start) * shift / (
            self._by(self._most) - self._by(self._least)
        )

    def marks(self) -> list[tuple[float, str]]:
        """What to write beside it, and where."""
        values = self._ticks()
        names = self._axis.names or [_short(value) for value in values]
        return [(self.place(value), name) for value, name in zip(values, names, strict=True)]

    def _ticks(self) -> list[float]:
        """Simple multiples of powers of ten."""
        if self._axis.ticks:
            return list(self._axis.ticks)
        if not self._axis.logarithmic:
            return [self._least + (self._most - self._least) * each / 5 for each in range(6)]
        decades = range(math.floor(math.log10(self._least)), math.ceil(math.log10(self._most)) + 1)
        shown: list[float] = []
        for steps in STEPS:
            if len(shown) < FEW:
                found = [step * 10.0**decade for decade in decades for step in steps]
                shown = [each for each in found if self._least <= each <= self._most]
        return shown

    def _by(self, value: float) -> float:
        return math.log10(value) if self._axis.logarithmic else value


def _short(value: float) -> str:
    for size, suffix, step in ((1e6, "M", 1e5), (1e3, "k", 1e3)):
        if value >= size and value % step == 0:
            return f"{value / size:g}{suffix}"
    return f"{value:.6g}"


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )


def _line(
    x: float, y: float, x2: float, y2: float, *, colour: str = "#dddddd", width: int = 1
) -> str:
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        f' stroke="{colour}" stroke-width="{width}"/>'
    )
