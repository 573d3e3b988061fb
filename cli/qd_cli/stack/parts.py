"""The parts of a stack: what each is, what it needs, what it gives to the others.

Only a description: nothing here starts a process. A part's arguments and settings are
templates over ``{data}`` (its data folder) and ``{port}`` (0: a free one).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qd_schemas.enums import ServiceId
from qd_schemas.settings.setting import Setting
from qd_schemas.settings.table import BROKER_METRICS

FLUVIO = "QD_FLUVIO"
DATABASE = "QD_DATABASE"
DATABASE_FILE = "QD_DATABASE_FILE"
SYMDB = "QD_SYMDB"

Prepare = Callable[[Mapping[str, str]], Awaitable[None]]
"""Runs when a part is ready, before anything that needs it; gets all settings so far."""


@dataclass(frozen=True, slots=True)
class Provides:
    """The setting that a ready part gives to the others, and where its ready file has it."""

    setting: str
    ready_key: str


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a stack."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Names of the parts that must be ready first; it gets what they provide."""
    provides: Provides | None = None
    prepare: Prepare | None = None
    reach: Prepare | None = None
    """Runs instead of starting the part where it runs elsewhere; raises if nobody is there."""
    service: ServiceId | None = None
    """Whose settings it gets, and no others; None gets what its needs provide."""
    own: tuple[Setting[Any], ...] = ()
    """The settings that are its own where it is no service."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a user chose for a stack; everything has a default.

    Attributes
    ----------
    ports : mapping of str to int
        Port by part name; a part that is not named gets a free one.
    external : mapping of str to str
        Settings of parts that run elsewhere; those parts are not started.
    die_with_starter : bool
        End every part when the starting process ends, however it ends.
    as_shipped : bool
        Leave the user's settings of services aside, so that the stack is the same everywhere
        and its ports are no others'; only logs and the client of Fluvio are as they are set.
    """

    ports: Mapping[str, int] = field(default_factory=dict)
    external: Mapping[str, str] = field(default_factory=dict)
    die_with_starter: bool = False
    as_shipped: bool = False


async def _migrate(settings: Mapping[str, str]) -> None:
    """Bring the database's tables up to date."""
    from qd_store import Store

    async with Store.open(settings[DATABASE]) as store:
        await store.migrate()


async def _reach_cluster(settings: Mapping[str, str]) -> None:
    """Ask the Fluvio cluster for its topics, so that the services need not wait in vain."""
    from qd_fluvio import connect
    from qd_schemas.specs import FluvioSettings

    async with connect(FluvioSettings.from_env({**os.environ, **settings})) as fluvio:
        await fluvio.topics()


def qd_parts() -> tuple[Part, ...]:
    """Return the five parts of a qd stack, each after what it needs."""
    return (
        Part(
            "database",
            "qd_store.embedded",
            ("--data", "{data}", "--port", "{port}"),
            provides=Provides(DATABASE, "dsn"),
            prepare=_migrate,
        ),
        Part(
            "broker",
            "qd_fluvio.broker",
            ("--data", "{data}", "--host", "127.0.0.1", "--sc-port", "{port}", "--spu-port", "0"),
            provides=Provides(FLUVIO, "endpoint"),
            reach=_reach_cluster,
            own=(BROKER_METRICS,),
        ),
        Part(
            "symdb",
            "qd_symdb",
            settings={SYMDB: "127.0.0.1:{port}"},
            needs=("database",),
            provides=Provides(SYMDB, "endpoint"),
            service=ServiceId.SYMDB,
        ),
        Part("gateway", "qd_gateway", needs=("database", "broker"), service=ServiceId.QDGW),
        Part(
            "analytics",
            "qd_analytics",
            needs=("broker", "symdb", "gateway"),
            service=ServiceId.ANALYTICS,
        ),
    )
