"""Plots as inline SVG, drawn by hand: bars of days, bars of courses, a waterfall. Each says in words what it shows.

Coordinates are Decimal, so the same figures give the same picture everywhere.
"""

import calendar
from collections.abc import Iterator, Sequence
from decimal import Decimal

from markupsafe import Markup, escape

from redisu_pipeline.common.periods import Month
from redisu_pipeline.export.month import DailySales
from redisu_pipeline.export.report.tables import money

_WIDTH = 720
_INK, _UP, _DOWN, _GRID = "#091A23", "#2b6a84", "var(--accent)", "#d5dade"
Step = tuple[str, Decimal]  # name, amount


_APART = 12  # two labels closer than this would stand on each other


def daily(period: Month, currency: str, rows: Sequence[DailySales]) -> Markup:
    """Return a bar a day: revenue upwards, refunds below zero; nothing when there was neither."""
    top = max((row.revenue for row in rows), default=Decimal(0))
    bottom = max((row.refunds for row in rows), default=Decimal(0))
    if top + bottom <= 0:
        return Markup()
    days = calendar.monthrange(period.year, period.month)[1]
    left, height = 78, 170
    slot = Decimal(_WIDTH - left) / days
    scale = Decimal(height - 40) / (top + bottom)
    zero = 14 + top * scale
    parts = [_level(zero, "0"), _level(zero - top * scale, money(top, currency))]
    if bottom * scale >= _APART:
        parts.append(_level(zero + bottom * scale, money(-bottom, currency)))
    for row in rows:
        x = left + slot * (row.day.day - 1) + slot / 8
        label = f"{row.day.isoformat()}: sold {money(row.revenue, currency)}, refunds {money(row.refunds, currency)}"
        if row.revenue > 0:
            parts.append(_bar(x, zero - row.revenue * scale, slot * 3 / 4, row.revenue * scale, _UP, label))
        if row.refunds > 0:
            parts.append(_bar(x, zero, slot * 3 / 4, row.refunds * scale, _DOWN, label))
    marked = (1, *range(5, days + 1, 5))
    parts += [_text(left + slot * (day - Decimal("0.5")), height - 2, str(day), "middle") for day in marked]
    said = f"Sold by day before tax, {currency}; refunds stand below zero"
    return _svg(said, height, parts)


def courses(currency: str, rows: Sequence[Step]) -> Markup:
    """Return a bar a course, the longest first; nothing when none sold."""
    ranked = sorted((row for row in rows if row[1] > 0), key=lambda row: (-row[1], row[0]))[:15]
    if not ranked:
        return Markup()
    left, step = 220, 26
    scale = Decimal(_WIDTH - left - 110) / ranked[0][1]
    parts = []
    for place, (name, amount) in enumerate(ranked):
        y = Decimal(8 + place * step)
        parts.append(_text(left - 8, y + 13, name if len(name) <= 32 else f"{name[:31]}…", "end"))
        parts.append(_bar(Decimal(left), y, amount * scale, Decimal(18), _UP, f"{name}: {money(amount, currency)}"))
        parts.append(_text(left + amount * scale + 6, y + 13, money(amount, currency), "start"))
    return _svg(f"Revenue before tax by course, {currency}", 12 + step * len(ranked), parts)


def waterfall(currency: str, opening: Decimal, steps: Sequence[Step], closing: Decimal) -> Markup:
    """Return opening, every movement and closing as floating bars; nothing when all of them are zero."""
    levels = [opening, *_running(opening, steps), closing]
    low, high = min(Decimal(0), *levels), max(Decimal(0), *levels)
    if high == low:
        return Markup()
    left, step = 200, 24
    scale = Decimal(_WIDTH - left - 110) / (high - low)
    bars = [("Opening", Decimal(0), opening, _INK)]
    before = opening
    for name, amount in steps:
        bars.append((name.replace("_", " "), before, before + amount, _UP if amount >= 0 else _DOWN))
        before += amount
    bars.append(("Closing", Decimal(0), closing, _INK))
    parts = []
    for place, (name, start, end, color) in enumerate(bars):
        y = Decimal(8 + place * step)
        shown = money(end - start, currency)
        x, width = left + (min(start, end) - low) * scale, abs(end - start) * scale
        parts.append(_text(left - 8, y + 12, name, "end"))
        parts.append(_bar(x, y, max(width, Decimal("0.8")), Decimal(16), color, f"{name}: {shown}"))
        parts.append(_text(x + width + 6, y + 12, shown, "start"))
    return _svg(f"Clearing account from opening to closing, {currency}", 12 + step * len(bars), parts)


def _running(opening: Decimal, steps: Sequence[Step]) -> Iterator[Decimal]:
    for _, amount in steps:
        opening += amount
        yield opening


def _svg(said: str, height: int, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<figure><figcaption>{said}</figcaption><svg role="img" aria-label="{said}" viewBox="0 0 {width} {height}">'
        "{parts}</svg></figure>"
    ).format(said=said, width=_WIDTH, height=height, parts=Markup().join(parts))


def _bar(x: Decimal, y: Decimal, width: Decimal, height: Decimal, color: str, said: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>').format(
        _at(x), _at(y), _at(width), _at(height), color, said
    )


def _level(y: Decimal, text: str) -> Markup:
    line = Markup('<line x1="78" x2="{}" y1="{}" y2="{}" stroke="{}"/>').format(_WIDTH, _at(y), _at(y), _GRID)
    return line + _text(72, y + 4, text, "end")


def _text(x: Decimal | int, y: Decimal | int, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(_at(x), _at(y), anchor, escape(text))


def _at(value: Decimal | int) -> str:
    return f"{round(Decimal(value), 1):f}"
