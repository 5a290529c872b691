"""A bar chart of deliveries/s, as SVG written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from bench.report import Case, rate

# Okabe and Ito's colours: distinct for colour-blind readers, on light and on dark ground.
COLOURS = {
    "udprelay": "#d55e00",
    "udprelay-session": "#882255",
    "udprelay-stock": "#e69f00",
    "twisted": "#0072b2",
    "asyncio": "#56b4e9",
    "socket": "#009e73",
    "c-sendto": "#8c8c8c",
    "c-mmsg-gso": "#cc79a7",
    "ncat": "#b8a900",
    "c-mmsg-gro": "#f0a0cc",
    "before": "#555555",
    "before-session": "#aaaaaa",
}
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .small { font-size: 11px; }
  .title { font-size: 16px; font-weight: 600; }
  .line { stroke: #24292f; stroke-opacity: 0.15; }
  .range { stroke: #24292f; stroke-width: 1.2; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .line, .range { stroke: #e6edf3; }
  }
"""
LEFT, TOP, BOTTOM, HEIGHT = 64, 84, 44, 300
BAR, GAP = 18, 30


def chart(cases: Sequence[Case], subtitle: str) -> str:
    """Return an SVG image of the plotted works: one group of bars each, ranges as whiskers."""
    cases = [c for c in cases if c.work.plotted and c.spread("rate") is not None]
    names = list(dict.fromkeys(c.work.name for c in cases))
    relays = list(dict.fromkeys(c.relay.name for c in cases))
    groups = [[c for c in cases if c.work.name == name] for name in names]
    widths = [max(BAR * len(group), 7.5 * len(group[0].work.title)) for group in groups]
    width = max(LEFT + sum(widths) + GAP * (len(groups) + 1), LEFT + 120 * len(relays))
    top = nice_top(max((c.worst("rate") for c in cases), default=1.0))
    height = TOP + HEIGHT + BOTTOM
    parts = [
        _tag(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {width} {height}",
                "width": width,
                "height": height,
                "role": "img",
            },
            end=">",
        ),
        "<title>Deliveries per second of udprelay and of other relays</title>",
        f"<style>{STYLE}</style>",
        _text(LEFT, 22, "Deliveries per second on one core", "title"),
        _text(LEFT, 42, subtitle, "small"),
        *_legend(relays),
        *_scale(top, width),
    ]
    x = float(LEFT + GAP)
    for group, span in zip(groups, widths, strict=True):
        parts.append(_text(x + span / 2, TOP + HEIGHT + 22, group[0].work.title, anchor="middle"))
        start = x + (span - BAR * len(group)) / 2
        for i, case in enumerate(group):
            parts += _bar(case, start + BAR * i, top)
        x += span + GAP
    return "\n".join([*parts, "</svg>", ""])


def nice_top(most: float) -> float:
    """Return the next round number: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(most, 1.0)))
    return next(n * power for n in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if n * power >= most)


def _y(value: float, top: float) -> float:
    return TOP + HEIGHT * (1 - value / top)


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    where: dict[str, str | float] = {"x": x, "y": y, "text-anchor": anchor}
    if style:
        where["class"] = style
    return f"{_tag('text', where, end='>')}{escape(text)}</text>"


def _tag(name: str, attributes: Mapping[str, str | float], end: str = "/>") -> str:
    shown = (
        f" {key}={quoteattr(f'{value:.1f}' if isinstance(value, float) else str(value))}"
        for key, value in attributes.items()
    )
    return f"<{name}{''.join(shown)}{end}"


def _legend(relays: Sequence[str]) -> list[str]:
    parts, x = [], float(LEFT)
    for name in relays:
        square = {"width": 12, "height": 12, "rx": 2}
        parts.append(_tag("rect", {"x": x, "y": 54, **square, "fill": COLOURS[name]}))
        parts.append(_text(x + 17, 64.5, name))
        x += 34 + 8 * len(name)
    return parts


def _scale(top: float, width: float) -> list[str]:
    parts = []
    for i in range(6):
        value = top * i / 5
        y = _y(value, top)
        ends = {"x1": LEFT, "x2": width, "y1": y, "y2": y}
        parts.append(_tag("line", {**ends, "class": "line"}))
        label = "0" if i == 0 else f"{value / 1000:,.0f} k"
        parts.append(_text(LEFT - 8, y + 4, label, "small", "end"))
    return parts


def _bar(case: Case, x: float, top: float) -> list[str]:
    found = case.spread("rate")
    if found is None:
        return []
    y, low, high = (_y(v, top) for v in (found.median, found.low, found.high))
    middle = x + BAR / 2
    bar = _tag(
        "rect",
        {
            "x": x + 1,
            "y": y,
            "width": BAR - 2,
            "height": TOP + HEIGHT - y,
            "fill": COLOURS[case.relay.name],
        },
        end=">",
    )
    tip = f"{case.relay.name}, {case.work.title}: {rate(found.median)}"
    whisker = {"x1": middle, "x2": middle, "y1": low, "y2": high}
    parts = [
        f"{bar}<title>{escape(tip)}</title></rect>",
        _tag("line", {**whisker, "class": "range"}),
    ]
    if case.relay.name == "udprelay":
        parts.append(_text(middle, min(y, high) - 5, rate(found.median), "small", "middle"))
    return parts
