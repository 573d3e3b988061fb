"""Where the stack is that a command talks to: an option, else the environment, else a state.

Nothing here connects to anything.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from qd_cli.errors import NoStack, PartDied
from qd_cli.interrupts import Interrupts, run
from qd_cli.stack.parts import DATABASE, FLUVIO, SYMDB
from qd_cli.stack.processes import is_alive
from qd_cli.stack.record import StateFolder
from qd_schemas.errors import QdError

STATE = "QD_STATE"
T = TypeVar("T")
_LOOK_SECONDS = 0.5


def died(parts: str) -> str:
    """Say that parts died, and what to do."""
    return f"{parts} died: `qd up` starts it again"


def state_folder(given: Path | None) -> StateFolder:
    """Return the state folder: ``--state``, QD_STATE, or the user's data folder."""
    chosen = given or os.environ.get(STATE) or None
    if chosen is None:
        from platformdirs import user_data_path

        chosen = user_data_path("qd", appauthor=False)
    return StateFolder(Path(chosen))


@dataclass(frozen=True, slots=True)
class Targets:
    """Settings found for a command.

    Parameters
    ----------
    given : mapping of str to str
        What options named.
    folder : StateFolder
        Whose running stack is used for what neither options nor the environment name.
    """

    given: Mapping[str, str]
    folder: StateFolder

    @property
    def fluvio(self) -> str:
        """``host:port`` of the Fluvio cluster."""
        from qd_schemas.specs import FluvioSettings

        return FluvioSettings.from_env({FLUVIO: self._find(FLUVIO)}).endpoint

    @property
    def database(self) -> str:
        """The database's DSN."""
        return self._find(DATABASE)

    @property
    def symdb(self) -> str:
        """``host:port`` of symdb."""
        return self._find(SYMDB)

    def run(self, main: Callable[[Interrupts], Awaitable[T]]) -> T:
        """Run a command's coroutine; its error also says which part of the stack died."""
        try:
            return run(main)
        except QdError as error:
            dead = self.dead()
            if not dead or isinstance(error, PartDied):
                raise
            raise PartDied(f"{error}\nqd: {died(dead)}") from error

    async def until_one_dies(self) -> None:
        """Wait until a part of the stack dies.

        Raises
        ------
        PartDied
            Says which one.
        """
        while True:
            if dead := self.dead():
                raise PartDied(died(dead))
            await asyncio.sleep(_LOOK_SECONDS)

    def dead(self) -> str:
        """Name the parts of the running stack that died, unless another stack was meant."""
        if any(self.given.get(name) or os.environ.get(name) for name in (FLUVIO, DATABASE, SYMDB)):
            return ""
        parts = self.folder.read().parts.items()
        return ", ".join(name for name, part in parts if not is_alive(part.identity))

    def _find(self, setting: str) -> str:
        found = self.given.get(setting) or os.environ.get(setting)
        if found:
            return found
        record = self.folder.read()
        value = record.settings.get(setting)
        alive = any(is_alive(part.identity) for part in record.parts.values())
        if not alive or value is None:
            raise NoStack(
                f"no stack is running in {self.folder.path}: start one with `qd up`, "
                f"or set {setting} to use another"
            )
        return value
