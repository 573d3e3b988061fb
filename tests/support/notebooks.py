"""Runs a notebook in a kernel of its own, as Jupyter does, and prints what its cells show.

``python -m support.notebooks NOTEBOOK``; fails where a cell fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS_MAX = 120


def shown(path: Path) -> Iterator[str]:
    """Run a notebook; give its texts, and the types of its pictures."""
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.reads(path.read_text(), as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=SECONDS_MAX, kernel_name="python3")
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield from _texts(output)


def _texts(output: Any) -> Iterator[str]:
    if output.output_type == "stream":
        yield output.text
    else:
        data = output.get("data", {})
        yield from (kind for kind in data if kind.startswith("image/"))
        yield data.get("text/plain", "")


if __name__ == "__main__":
    for text in shown(Path(sys.argv[1])):
        print(text.rstrip())
