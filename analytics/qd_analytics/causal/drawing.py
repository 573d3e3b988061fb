"""The drawing library, loaded when something is drawn: who draws nothing need not wait for it."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

from qd_analytics.causal.errors import NoDrawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawing() -> tuple[ModuleType, type[Figure]]:
    """Matplotlib, and its class of figures.

    Raises
    ------
    NoDrawing
        It is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoDrawing(
            "pictures need the package matplotlib, which is not installed here (qd's container "
            "image leaves it out): install it, or draw where it is"
        ) from error
    return mpl, Figure
