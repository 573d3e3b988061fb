"""Which variables a part of the stack gets: those that its service declares, and no secret else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qd_cli.stack.parts import Part
from qd_schemas.settings.table import DATABASE, FLUVIO_CLIENT, LOG_FORMAT, LOG_LEVEL, of_service

_QD: Final = "QD_"
_LIBPQ: Final = re.compile(r"PG[A-Z]+")  # among them PGPASSWORD
_OF_EVERY_PART: Final = frozenset((LOG_LEVEL.name, LOG_FORMAT.name))
_OF_EVERY_STACK: Final = _OF_EVERY_PART | {FLUVIO_CLIENT.name}


def names_of(part: Part) -> frozenset[str]:
    """The names of the settings that a part gets."""
    if part.service is None:
        return _OF_EVERY_PART | {setting.name for setting in part.own}
    return frozenset(setting.name for setting in of_service(part.service))


def takes(part: Part, name: str) -> bool:
    """Whether a part gets a setting that another part provides.

    What is no service gets all that its needs provide.
    """
    return part.service is None or name in names_of(part)


def inherited(part: Part, env: Mapping[str, str], *, as_shipped: bool = False) -> dict[str, str]:
    """What a part gets of the user's environment.

    Parameters
    ----------
    as_shipped : bool
        Whether the user's settings of services are left aside.
    """
    names = names_of(part)
    given = names & _OF_EVERY_STACK if as_shipped else names
    asks_database = DATABASE.name in names or (
        part.provides is not None and part.provides.setting == DATABASE.name
    )

    def is_given(name: str) -> bool:
        if name.startswith(_QD):
            return name in given
        return asks_database or not _LIBPQ.fullmatch(name)

    return {name: value for name, value in env.items() if is_given(name)}
