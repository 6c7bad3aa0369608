"""The way of figures into the page.

They become inline SVG: text stays text, set in the reader's system font; nothing refers outside the page;
identifiers are prefixed so that many figures share one page; numbers are rounded to keep it small.
"""

from __future__ import annotations

import io
import re
from typing import Any, Final

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

SCREEN_SCALE: Final = 1.5
"""Pixels a point at most, so that text has one size in all figures of a wide page."""

_STYLE: Final[dict[str, Any]] = {
    "svg.fonttype": "none",
    "path.simplify": False,
    "font.size": 8.5,
    "hatch.linewidth": 0.8,
}


def to_svg(figure: Figure, *, name: str, title: str, description: str) -> Markup:
    """`figure` as inline SVG with a title and description for those who cannot see it.

    Parameters
    ----------
    figure
        A finished figure.
    name
        Unique in the page; prefixes every identifier inside.
    title, description
        Text alternative; escaped.

    Returns
    -------
    markupsafe.Markup
        One ``<svg role="img">`` element; the same bytes for the same figure.

    Examples
    --------
    >>> from workflows.figures.style import new_figure
    >>> figure, ax = new_figure(2, 1)
    >>> svg = to_svg(figure, name="demo", title="A & B", description="Nothing")
    >>> svg.startswith('<svg'), 'A &amp; B' in svg, 'http' in svg
    (True, True, False)
    """
    key = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    target = io.StringIO()
    with mpl.rc_context({**_STYLE, "svg.hashsalt": key}):
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None})
    return Markup(_inline(target.getvalue(), key, str(escape(title)), str(escape(description))))


def _inline(svg: str, key: str, title: str, description: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    # matplotlib's own style sheet has the selector *, which would restyle the whole page
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r"font: ([^;\"]*?px) [^;\"]*", _font, svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r' transform="rotate\(-?0(?:\.0+)? [^)]*\)"', "", svg)
    wanted = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in wanted else "", svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', svg)
    svg = re.sub(r"<[^>]+>", lambda m: _shorter(m[0]), svg)
    svg = re.sub(r">\s+<", "><", svg)
    while (fewer := re.sub(r"<g>((?:(?!</?g\b).)*)</g>", r"\1", svg, flags=re.S)) != svg:
        svg = fewer
    svg = re.sub(r"<defs></defs>", "", svg)
    box = re.search(r'viewBox="([^"]+)"', svg)
    assert box is not None, "matplotlib's SVG has a viewBox"
    widest = round(float(box[1].split()[2]) * SCREEN_SCALE)
    head = (
        f'<svg class="chart" style="max-width:{widest}px" viewBox="{box[1]}" role="img" '
        f'aria-labelledby="{key}-t {key}-d">'
        f'<title id="{key}-t">{title}</title><desc id="{key}-d">{description}</desc>'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def _font(match: re.Match[str]) -> str:
    """Keep size, weight and slant of matplotlib's font shorthand; the family is the page's."""
    words = match[1].split()
    weight = next((w for w in words if w.isdigit() or w == "bold"), None)
    style = f"font-size: {words[-1]}" + (f"; font-weight: {weight}" if weight else "")
    return style + ("; font-style: italic" if "italic" in words or "oblique" in words else "")


def _shorter(tag: str) -> str:
    tag = re.sub(r"-?\d+\.\d+(?:e-?\d+)?", lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), tag)
    if tag.startswith("<path"):
        tag = re.sub(r"\s*\n\s*", "", tag)
        # a dot is drawn as a line of no length with round ends: an eighth of the size of matplotlib's markers
        tag = re.sub(r"M (\S+) (\S+?)(?: ?L \1 \2)?(?=[M\"])", r"M\1 \2h0", tag)
    return tag
