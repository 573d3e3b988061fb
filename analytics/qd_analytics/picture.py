"""Pictures of charts as SVG or PNG. matplotlib is imported when one is drawn, not before."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np

from qd_analytics.causal.drawing import drawing
from qd_analytics.chart import Chart, Mark
from qd_analytics.errors import PictureRefused

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMS: Final = ("svg", "png")
_SIZE_INCHES: Final = (12.0, 6.0)
_DOTS_PER_INCH: Final = 144
_PRICE: Final = "#334155"
_LEVELS: Final = ("#0284c7", "#b45309", "#7c3aed", "#15803d")
_ROSE, _FELL = "#16a34a", "#dc2626"


def picture(chart: Chart, form: str) -> bytes:
    """A chart as a picture; the same chart gives the same bytes.

    Parameters
    ----------
    chart : Chart
        What is drawn.
    form : str
        ``svg`` or ``png``.

    Raises
    ------
    PictureRefused
        It is another form.
    NoDrawing
        The drawing library is not installed.
    """
    if form not in FORMS:
        raise PictureRefused(f"pictures are svg or png, not {form!r}; name the file so")
    mpl, figures = drawing()
    with mpl.rc_context({"svg.hashsalt": "qd", "svg.fonttype": "none", "font.size": 9.0}):
        figure = figures(figsize=_SIZE_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(chart.title, loc="left", weight="bold", parse_math=False)
        axes.grid(color="#e2e8f0", linewidth=0.6)
        axes.margins(x=0.01)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        _draw(axes, chart)
        written = io.BytesIO()
        metadata = {"Date": None} if form == "svg" else {"Software": None}
        figure.savefig(written, format=form, dpi=_DOTS_PER_INCH, metadata=metadata)
    return written.getvalue()


def _draw(axes: Axes, chart: Chart) -> None:
    times = chart.times.astype("datetime64[us]")
    there = ~np.isnan(chart.close)
    axes.fill_between(
        times[there], chart.low[there], chart.high[there], color=_PRICE, alpha=0.25, linewidth=0
    )
    axes.plot(times[there], chart.close[there], color=_PRICE, linewidth=0.9, label="price")
    for name, values, colour in zip(chart.level_names, chart.levels, _LEVELS, strict=False):
        axes.step(times[there], values[there], where="mid", color=colour, linewidth=0.9, label=name)
    _marks(axes, [mark for mark in chart.marks if mark.rose], "^", _ROSE, "rose")
    _marks(axes, [mark for mark in chart.marks if not mark.rose], "v", _FELL, "fell")
    axes.set_xlim(chart.times[:1].astype("datetime64[us]")[0], times[-1])
    if chart.is_logarithmic:
        _logarithmic(axes)
    axes.legend(loc="upper left", frameon=False, ncols=3)


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.set_yscale("log")
    axes.set_ylabel("logarithmic")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _marks(axes: Axes, marks: list[Mark], shape: str, colour: str, name: str) -> None:
    if marks:
        axes.plot(
            np.array([mark.time for mark in marks], dtype="datetime64[us]"),
            [mark.price for mark in marks],
            linestyle="",
            marker=shape,
            markersize=5.0,
            color=colour,
            label=f"{name} ({len(marks)})",
        )
