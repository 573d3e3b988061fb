"""igraph, without the drawing library that it would load with it.

igraph imports matplotlib and its pyplot where they are installed: half a second and 50 MB for
each process, of which services have no use. Pictures are drawn in `picture`, which imports
what it needs when it draws. All modules here take igraph from this one.
"""

from __future__ import annotations

import sys
from types import ModuleType

HIDDEN = "matplotlib"


def _imported() -> ModuleType:
    """Import igraph; whoever imported matplotlib before has igraph's own drawing too."""
    if HIDDEN in sys.modules or "igraph" in sys.modules:
        import igraph
    else:
        sys.modules[HIDDEN] = None  # type: ignore[assignment]  # an import of it fails
        try:
            import igraph
        finally:
            del sys.modules[HIDDEN]
    module: ModuleType = igraph
    return module


igraph = _imported()

__all__ = ["igraph"]
