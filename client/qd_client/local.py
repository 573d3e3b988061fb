"""Where the cluster and the symbol master are: the environment says so, else a running stack.

``qd up`` remembers its stack in ``stack.json`` of a state folder; this module knows that file's
form and reads it, for clients and for the command line, which alone writes it. It connects to
nothing. Imports are few: ``qd --help`` waits for them.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from qd_client.errors import NoStack, StackUnreadable

if TYPE_CHECKING:
    from qd_schemas.specs import FluvioSettings, SymdbSettings, TlsSettings

STATE: Final = "QD_STATE"
FLUVIO: Final = "QD_FLUVIO"
SYMDB: Final = "QD_SYMDB"
RECORD_NAME: Final = "stack.json"
FORMAT: Final = 1

_STAT_STARTTIME = 19  # field 22 of proc(5) stat, counted after the command's name
_STAT_STATE = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, never confused with a later one of the same pid.

    That is its pid *and* its start: the kernel's boot id and the ticks from boot to start.
    """

    pid: int
    start: str


def identify(pid: int) -> Identity | None:
    """Return the identity of the process that has `pid` now, or None for none or a zombie."""
    stat = _stat(pid)
    if stat is None or stat[_STAT_STATE] in "ZX":
        return None
    return Identity(pid, f"{_boot_id()}:{stat[_STAT_STARTTIME]}")


def is_alive(identity: Identity) -> bool:
    """Tell whether this very process still runs (a zombie does not)."""
    return identify(identity.pid) == identity


@cache
def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` after the name (which may hold anything), if it lives."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


@dataclass(frozen=True, slots=True)
class PartRecord:
    """What was started for one part of a stack."""

    pid: int
    start: str
    started_at: float
    """Seconds since the epoch, for people; `start` tells processes apart."""
    settings: Mapping[str, str]
    ready: Mapping[str, Any] | None = None
    """What the part wrote when it became ready; None before."""

    @property
    def identity(self) -> Identity:
        """The process."""
        return Identity(self.pid, self.start)


@dataclass(frozen=True, slots=True)
class StackRecord:
    """All parts that were started and not stopped, and the settings of external ones."""

    parts: Mapping[str, PartRecord] = field(default_factory=dict)
    external: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Where everything can be reached: QD_FLUVIO, QD_DATABASE, QD_SYMDB."""

    @property
    def is_running(self) -> bool:
        """True where at least one part lives."""
        return any(is_alive(part.identity) for part in self.parts.values())

    def with_part(self, name: str, part: PartRecord) -> StackRecord:
        """Return a copy with this part's record."""
        return dataclasses.replace(self, parts={**self.parts, name: part})

    def without_part(self, name: str) -> StackRecord:
        """Return a copy that has forgotten a part."""
        return dataclasses.replace(
            self, parts={key: part for key, part in self.parts.items() if key != name}
        )

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        return {"format": FORMAT, **dataclasses.asdict(self)}


def state_path(given: Path | None = None) -> Path:
    """Return the state folder: the one that was given, QD_STATE, or the user's data folder."""
    chosen = given or os.environ.get(STATE) or None
    if chosen is None:
        from platformdirs import user_data_path

        chosen = user_data_path("qd", appauthor=False)
    return Path(chosen).expanduser().resolve()


def read_record(file: Path) -> StackRecord:
    """Read a stack's record; an empty one where there is none.

    Raises
    ------
    StackUnreadable
        The file cannot be read, or is not what ``qd`` wrote there.
    """
    try:
        text = file.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return StackRecord()
    except OSError as error:
        raise StackUnreadable(f"{file} cannot be read: {error.strerror}") from error
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StackUnreadable(
            f"{file} is not a stack's record of format {FORMAT} ({error}): "
            "end its processes and remove the file"
        ) from error


def _parse(document: Mapping[str, Any]) -> StackRecord:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']}")
    return StackRecord(
        parts={name: PartRecord(**part) for name, part in document["parts"].items()},
        external=dict(document["external"]),
        settings=dict(document["settings"]),
    )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a client connects, and as whom.

    Attributes
    ----------
    fluvio : FluvioSettings
        The cluster.
    symdb : str or None
        ``host:port`` of the symbol master; None where only a cluster is known.
    symdb_tls : TlsSettings or None
        How to speak TLS to it.
    client_id : int or None
        The id to log in with; None takes a free one.
    token : str or None
        What proves the id.
    """

    fluvio: FluvioSettings
    symdb: str | None
    symdb_tls: TlsSettings | None
    client_id: int | None
    token: str | None = field(default=None, repr=False)


def surroundings(env: Mapping[str, str] | None = None) -> Surroundings:
    """Find the cluster and the symbol master.

    QD_FLUVIO and QD_SYMDB, of the environment or the file that QD_CONFIG names, say where they
    are; without QD_FLUVIO it is the stack that ``qd up`` started and that still runs.

    Raises
    ------
    NoStack
        Nothing is named, and no stack runs.
    SettingError
        A setting makes no sense.
    StackUnreadable
        The stack's file is not what ``qd`` wrote.
    """
    from qd_schemas.settings import table
    from qd_schemas.settings.given import Given
    from qd_schemas.settings.strays import strays
    from qd_schemas.specs import (
        SYMDB_TLS_NAMES,
        ClientSettings,
        FluvioSettings,
        SymdbSettings,
        TlsSettings,
    )

    env = os.environ if env is None else env
    for text in strays(env):
        _warn(text)
    given = Given.of(env)
    speaks_tls = True
    if not given.text(table.FLUVIO):
        record = _running_stack()
        speaks_tls = FLUVIO in record.external  # the stack's own broker does not
        env = {**env, FLUVIO: record.settings[FLUVIO]}
        if not given.text(table.SYMDB) and SYMDB in record.settings:
            env = {**env, SYMDB: record.settings[SYMDB]}
        given = Given.of(env)
    fluvio = FluvioSettings.from_env(env)
    client = ClientSettings.from_env(env)
    return Surroundings(
        fluvio if speaks_tls else dataclasses.replace(fluvio, tls=None),
        SymdbSettings.from_env(env).endpoint if given.text(table.SYMDB) else None,
        TlsSettings.from_env(env, SYMDB_TLS_NAMES),
        client.client_id,
        client.token.secret() or None,
    )


def symdb_surroundings(
    env: Mapping[str, str] | None = None,
) -> tuple[SymdbSettings, TlsSettings | None]:
    """Find the symbol master alone, and how to speak TLS to it.

    QD_SYMDB says where it is; without it, it is that of the stack that runs.

    Raises
    ------
    NoStack, SettingError, StackUnreadable
        As `surroundings`.
    """
    from qd_schemas.settings import table
    from qd_schemas.settings.given import Given
    from qd_schemas.specs import SYMDB_TLS_NAMES, SymdbSettings, TlsSettings

    env = os.environ if env is None else env
    if not Given.of(env).text(table.SYMDB):
        settings = _running_stack().settings
        env = {**env, SYMDB: settings.get(SYMDB, "")}
    return SymdbSettings.from_env(env), TlsSettings.from_env(env, SYMDB_TLS_NAMES)


@cache
def _warn(text: str) -> None:
    """Warn, once."""
    logging.getLogger("qd_client").warning("%s", text)


def _running_stack() -> StackRecord:
    folder = state_path()
    record = read_record(folder / RECORD_NAME)
    if not record.is_running or FLUVIO not in record.settings:
        raise NoStack(
            f"no stack runs in {folder} and {FLUVIO} is not set: start one with `qd up`, or set "
            f"{FLUVIO} and {SYMDB} to host:port of a cluster and its symbol master"
        )
    return record
