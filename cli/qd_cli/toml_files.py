"""Reading of TOML files that a user gives; what may be in them is their reader's business."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qd_cli.errors import FileBroken

T = TypeVar("T")

FILE_BYTES_MAX = 1 << 20


def read_toml(path: Path, parse: Callable[[str], T], what: str) -> T:
    """Read a file.

    Parameters
    ----------
    path : Path
        The file.
    parse : callable
        Makes something of its text; TOMLDecodeError names the line, ValueError the key.
    what : str
        What the file should be, such as ``a list of topics``.

    Raises
    ------
    FileBroken
        The message names the file, and the line or the key.
    """
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise FileBroken(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > FILE_BYTES_MAX:
        raise FileBroken(f"{path} has more than {FILE_BYTES_MAX} bytes; expected {what}")
    try:
        return parse(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileBroken(f"{path} is no TOML: {error}") from error
    except ValueError as error:
        raise FileBroken(f"{path}: {error}") from error
