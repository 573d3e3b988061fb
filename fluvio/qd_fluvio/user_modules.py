"""Modules of users' own, by the names that they give: ``package.module``, or ``path/to/file.py``.

It imports what it is told to, and nothing else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from qd_schemas.errors import QdError


def is_file(where: str) -> bool:
    """Whether a name means a file."""
    return where.endswith(".py")


def load_module(where: str, prefix: str, refusal: type[QdError]) -> ModuleType:
    """Import a user's module.

    Parameters
    ----------
    where : str
        ``package.module`` or ``path/to/file.py``.
    prefix : str
        Before a file's name in the name of its module.
    refusal : type of QdError
        What is raised. A module that itself raises an error of qd is told with that one's text.

    Raises
    ------
    QdError
        Of the class `refusal`: it is not there, or cannot be imported.
    """
    try:
        if is_file(where):
            return _load_file(Path(where), prefix, refusal)
        if "" not in sys.path:  # a user's module lies where the command is run
            sys.path.insert(0, "")
        return importlib.import_module(where)
    except QdError as error:  # of what the module makes: it says enough
        raise refusal(f"{where}: {error}") from None
    except ModuleNotFoundError as error:
        raise refusal(f"{where} cannot be imported: {error}") from None
    except Exception as error:
        raise refusal(f"{where} cannot be imported: {type(error).__name__}: {error}") from None


def _load_file(path: Path, prefix: str, refusal: type[QdError]) -> ModuleType:
    if not path.is_file():
        raise refusal(f"there is no file {path}")
    name = f"{prefix}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in it need to find it
    spec.loader.exec_module(module)
    return module
