"""Files that hold one secret, such as a token or a DSN with a password; none is ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qd_schemas.errors import SettingError

SECRET_BYTES_MAX: Final = 65_536


def secret_of(setting: str, path: str) -> str:
    """The one line of text in a file.

    Parameters
    ----------
    setting : str
        Who names the file, for the error.
    path : str
        The file.

    Raises
    ------
    SettingError
        It cannot be read, or is empty, or is something else; its text is never repeated.
    """
    try:
        with Path(path).open("rb") as file:
            found = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SettingError(
            f"{setting} names {path}, which cannot be read ({error.strerror}): "
            "expected a file with one line"
        ) from None
    lines = found.strip().splitlines()
    if len(lines) != 1 or len(found) > SECRET_BYTES_MAX:
        raise SettingError(
            f"{setting} names {path}, which has {len(lines)} lines in {len(found)} bytes: "
            "expected one line"
        )
    try:
        return lines[0].decode()
    except UnicodeDecodeError:
        raise SettingError(f"{setting} names {path}, which is not UTF-8: save it so") from None
