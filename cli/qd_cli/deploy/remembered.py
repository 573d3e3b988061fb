"""The deployment that commands use: remembered in the state folder, or named by QD_DEPLOYMENT.

The file holds a context and a namespace, and nothing secret. Nothing here connects to anything.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from qd_cli.errors import RequestRefused, StateBroken

VARIABLE: Final = "QD_DEPLOYMENT"
REMEMBERED: Final = "remembered"
NONE: Final = "none"
_FILE: Final = "deployment.json"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where a deployment is."""

    context: str
    namespace: str

    def __str__(self) -> str:
        """As QD_DEPLOYMENT has it."""
        return f"{self.context}/{self.namespace}"


def remember(folder: Path, deployment: Deployment) -> None:
    """Let commands that use this state folder find the deployment."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = folder / f"{_FILE}.part"
    part.write_text(json.dumps({"format": _FORMAT, **asdict(deployment)}))
    part.replace(folder / _FILE)


def forget(folder: Path, deployment: Deployment) -> None:
    """Let no command find it any more."""
    if recall(folder) == deployment:
        (folder / _FILE).unlink(missing_ok=True)


def recall(folder: Path) -> Deployment | None:
    """The deployment that is remembered in a state folder.

    Raises
    ------
    StateBroken
        The file is not what ``qd deploy`` wrote.
    """
    path = folder / _FILE
    try:
        found = json.loads(path.read_text())
        if found["format"] != _FORMAT:
            raise ValueError(f"format {found['format']}")
        return Deployment(str(found["context"]), str(found["namespace"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise StateBroken(
            f"{path} is not what `qd deploy` wrote ({error}): remove it, and deploy again"
        ) from error


def chosen(folder: Path, env: Mapping[str, str] = os.environ) -> Deployment | None:
    """The deployment that the user chose: by QD_DEPLOYMENT, or by ``qd --cluster``.

    Raises
    ------
    RequestRefused
        What was chosen is no deployment, or none is remembered.
    """
    text = env.get(VARIABLE, "").strip()
    if text in ("", NONE):
        return None
    if text != REMEMBERED:
        context, slash, namespace = text.rpartition("/")
        if not slash or not context or not namespace:
            raise RequestRefused(
                f"{VARIABLE} is {text!r}; expected CONTEXT/NAMESPACE, {REMEMBERED!r} or {NONE!r}"
            )
        return Deployment(context, namespace)
    found = recall(folder)
    if found is None:
        raise RequestRefused(
            f"no deployment is remembered in {folder}: make one with `qd deploy`, or name one with "
            f"{VARIABLE}=CONTEXT/NAMESPACE"
        )
    return found


def fallback(folder: Path, env: Mapping[str, str] = os.environ) -> Deployment | None:
    """The deployment that is used where nothing else is there; none where the user refuses any."""
    return None if env.get(VARIABLE, "").strip() == NONE else recall(folder)
