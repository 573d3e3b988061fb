"""Pictures of causaloids and contexts, as SVG or PNG, coloured by an evaluation.

igraph places the boxes in layers; matplotlib draws them.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Context
from qd_analytics.causal.diagram import Box, Diagram, diagram_of
from qd_analytics.causal.drawing import drawing
from qd_analytics.causal.errors import ModelError, TooLargeToDraw
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.structure import igraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOXES_MAX: Final = 500
"""More cannot be read in a picture."""

LINE_LETTERS: Final = 30
NAME_LETTERS_MAX: Final = 60
TITLE_LETTERS_MAX: Final = 300  # also of what stands below a name
"""Where a line of a box is folded."""

# All in points, 1/72 inch.
FONT: Final = 9.0
LINE_HEIGHT: Final = 12.0
LETTER_WIDTH: Final = 5.2
BOLD: Final = 1.2
"""How much wider bold letters are."""
PADDING: Final = 8.0
GAP_ACROSS: Final = 26.0
GAP_DOWN: Final = 42.0
MARGIN: Final = 24.0
TITLE_HEIGHT: Final = 26.0
WIDTH_MIN: Final = 260.0

DOTS_PER_INCH: Final = 144
POINTS_PER_INCH: Final = 72.0


@dataclass(frozen=True, slots=True)
class _Placed:
    """A box with its middle and size, in points from the upper left."""

    box: Box
    lines: tuple[str, ...]
    x: float
    y: float
    width: float
    height: float


def draw(drawn: Causaloid | Context, path: Path | str, record: Evaluation | None = None) -> None:
    """Draw a causaloid or a context into a file, ``….svg`` or ``….png``.

    Parameters
    ----------
    record : Evaluation, optional
        Colours the nodes by what it says of them.

    Raises
    ------
    TooLargeToDraw
        If there are more than `BOXES_MAX` boxes.
    """
    form = Path(path).suffix.removeprefix(".").lower()
    Path(path).write_bytes(picture(drawn, form, record))


def picture(drawn: Causaloid | Context, form: str, record: Evaluation | None = None) -> bytes:
    """The same picture as bytes; `form` is ``svg`` or ``png``."""
    if form not in ("svg", "png"):
        raise ModelError(f"pictures are svg or png, not {form!r}; name the file so")
    diagram = diagram_of(drawn, record)
    title = _shown(diagram.title, TITLE_LETTERS_MAX)
    if len(diagram.boxes) > BOXES_MAX:
        raise TooLargeToDraw(
            f"{title} has {len(diagram.boxes)} nodes, at most {BOXES_MAX} can be drawn; "
            "draw a part of it, or export DOT or Mermaid"
        )
    return _rendered(diagram, form)


def _rendered(diagram: Diagram, form: str) -> bytes:
    mpl, figures = drawing()
    placed = _placed(diagram)
    title = _shown(diagram.title, TITLE_LETTERS_MAX)
    titled = len(title) * LETTER_WIDTH * BOLD * (FONT + 2) / FONT
    right = max(titled + MARGIN, max(p.x + p.width / 2 for p in placed.values()))
    width = max(WIDTH_MIN, right + MARGIN)
    height = max(p.y + p.height / 2 for p in placed.values()) + MARGIN
    height += LINE_HEIGHT * 2 if diagram.legends else 0.0
    # The same picture is the same file: no dates, no random names.
    with mpl.rc_context({"svg.hashsalt": "qd", "svg.fonttype": "none", "font.size": FONT}):
        figure = figures(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0.0, width), ylim=(height, 0.0))
        axes.axis("off")
        axes.text(
            MARGIN,
            MARGIN,
            title,
            weight="bold",
            size=FONT + 2,
            va="center",
            parse_math=False,
        )
        _arrows(axes, diagram, placed)
        for entry in placed.values():
            _box(axes, entry)
        _legends(axes, diagram, height)
        out = io.BytesIO()
        nothing: Mapping[str, Any] = {"Date": None} if form == "svg" else {}
        figure.savefig(out, format=form, dpi=DOTS_PER_INCH, metadata=dict(nothing))
    return out.getvalue()


# Placing


def _placed(diagram: Diagram) -> dict[str, _Placed]:
    """Boxes in layers from top to bottom, each after its causes."""
    place = {box.key: at for at, box in enumerate(diagram.boxes)}
    edges = [(place[arrow.source], place[arrow.target]) for arrow in diagram.arrows]
    graph = igraph.Graph(n=len(place), edges=edges, directed=True)
    layout = graph.layout_sugiyama(hgap=1, vgap=1, maxiter=200).coords[: len(place)]
    sized = [_sized(box) for box in diagram.boxes]
    across = max(width for _, width, _ in sized) + GAP_ACROSS
    left = min(x for x, _ in layout)
    layers = sorted({y for _, y in layout})
    tops = _tops(layers, [y for _, y in layout], [height for _, _, height in sized])
    return {
        box.key: _Placed(
            box,
            lines,
            MARGIN + across / 2 + (x - left) * across,
            tops[y] + height / 2,
            width,
            height,
        )
        for box, (x, y), (lines, width, height) in zip(diagram.boxes, layout, sized, strict=True)
    }


def _tops(layers: list[float], layer_of: list[float], heights: list[float]) -> dict[float, float]:
    """Where each layer begins."""
    tops: dict[float, float] = {}
    top = MARGIN + TITLE_HEIGHT
    for layer in layers:
        tops[layer] = top
        tallest = max(h for y, h in zip(layer_of, heights, strict=True) if y == layer)
        top += tallest + GAP_DOWN
    return tops


def _sized(box: Box) -> tuple[tuple[str, ...], float, float]:
    title = _shown(box.title, NAME_LETTERS_MAX)
    further = [_shown(line, TITLE_LETTERS_MAX) for line in box.lines]
    lines = [title, *(part for line in further for part in textwrap.wrap(line, LINE_LETTERS))]
    letters = max(len(title) * BOLD, max(map(len, lines)))
    width = letters * LETTER_WIDTH + 2 * PADDING
    return tuple(lines), width, len(lines) * LINE_HEIGHT + PADDING


def _shown(text: str, letters_max: int) -> str:
    """Text that a picture can hold: SVG has no control characters, and sizes are bounded."""
    cut = text if len(text) <= letters_max else f"{text[: letters_max - 1]}…"
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut
    )


# Drawing


def _box(axes: Axes, entry: _Placed) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, top = entry.x - entry.width / 2, entry.y - entry.height / 2
    axes.add_patch(
        FancyBboxPatch(
            (left, top),
            entry.width,
            entry.height,
            boxstyle="round,pad=0,rounding_size=5",
            facecolor=entry.box.look.fill,
            edgecolor=entry.box.look.line,
            linewidth=1.2,
            zorder=2,
        )
    )
    for number, line in enumerate(entry.lines):
        axes.text(
            entry.x,
            top + PADDING / 2 + (number + 0.5) * LINE_HEIGHT,
            line,
            ha="center",
            va="center",
            weight="bold" if number == 0 else "normal",
            color="#0f172a" if number == 0 else "#334155",
            parse_math=False,
            zorder=3,
        )


def _arrows(axes: Axes, diagram: Diagram, placed: Mapping[str, _Placed]) -> None:
    from matplotlib.patches import FancyArrowPatch

    for arrow in diagram.arrows:
        source, target = placed[arrow.source], placed[arrow.target]
        down = target.y >= source.y
        start = (source.x, source.y + (source.height / 2 if down else -source.height / 2))
        end = (target.x, target.y - (target.height / 2 if down else -target.height / 2))
        axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=9,
                linestyle="--" if arrow.dashed else "-",
                linewidth=1.0,
                color="#64748b",
                shrinkA=0,
                shrinkB=0,
                zorder=1,
            )
        )
        if arrow.label:
            axes.text(
                (start[0] + end[0]) / 2,
                (start[1] + end[1]) / 2,
                arrow.label,
                size=FONT - 2,
                color="#64748b",
                ha="center",
                va="center",
                parse_math=False,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                zorder=1.5,
            )


def _legends(axes: Axes, diagram: Diagram, height: float) -> None:
    x = MARGIN
    for legend in diagram.legends:
        axes.text(
            x,
            height - MARGIN / 2 - LINE_HEIGHT / 2,
            legend.text,
            size=FONT - 1,
            va="center",
            parse_math=False,
            bbox={
                "facecolor": legend.look.fill,
                "edgecolor": legend.look.line,
                "boxstyle": "round,pad=0.3",
            },
        )
        x += len(legend.text) * LETTER_WIDTH + 3 * PADDING
