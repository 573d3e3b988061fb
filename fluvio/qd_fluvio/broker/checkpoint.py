"""How far a partition's last file was known to be whole, so that a start need not read it all.

A hint only: one that is missing, torn or too old costs time, nothing else. What is before
it is checked when it is first served.
"""

from __future__ import annotations

from pathlib import Path

from qd_fluvio.broker.scan import Mark

_NAME = "checkpoint"


def read_checkpoint(folder: Path, base_offset: int) -> Mark | None:
    """The place between two batches of the file of that base offset, if one was kept."""
    try:
        base, position, offset = map(int, (folder / _NAME).read_text().split())
    except (OSError, ValueError):
        return None
    return Mark(position, offset) if base == base_offset and position >= 0 else None


def write_checkpoint(folder: Path, base_offset: int, mark: Mark) -> None:
    """Keep a place between two batches of the file of that base offset.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    part = folder / f"{_NAME}.part"
    part.write_text(f"{base_offset} {mark.position} {mark.offset}\n")
    part.replace(folder / _NAME)
