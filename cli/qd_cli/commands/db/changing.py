"""``qd db migrate``, ``refresh`` and ``roles``."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from qd_cli import console
from qd_cli.errors import RequestRefused
from qd_cli.options import DatabaseOption, Json, State, targets
from qd_schemas.errors import QdError

if TYPE_CHECKING:
    from qd_cli.blocking import Meter
    from qd_store.administration.roles import Role
    from qd_store.migrate import Migration
    from qd_store.tables import TableKind


def migrate(
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Of a new database: plain or timescaledb (default: the latter where there is it).",
        ),
    ] = None,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Bring the tables to this qd's version; nothing is lost, and again changes nothing.

    `qd up`, `qd import` and `qd demo` do it by themselves. Services only check the version.

    \b
    Examples:
      qd db migrate
      QD_DATABASE_FILE=/run/secrets/owner qd db migrate
      qd db migrate --kind plain
    """
    from qd_cli.patience import patiently
    from qd_store.connections import connect, translating
    from qd_store.migrate import migrate as apply_migrations
    from qd_store.migrate import version_of
    from qd_store.tables import kind_of

    wanted = _kind(kind)
    where = targets(state, database=database)
    dsn = where.database

    def work() -> tuple[list[Migration], int, TableKind]:
        with translating(), connect(dsn) as connection:
            applied = apply_migrations(connection, wanted)
            return applied, version_of(connection), kind_of(connection)

    applied, version, found = where.run(
        lambda _: patiently(lambda: asyncio.to_thread(work), _is_unanswered)
    )
    if json:
        names = [f"{each.version:04}_{each.name}" for each in applied]
        console.print_json(
            {"event": "migrate", "version": version, "kind": found, "applied": names}
        )
        return
    for each in applied:
        console.say(f"applied {each.version}: {each.name.replace('_', ' ')}")
    console.say(f"tables of version {version}, {found}")
    if applied:
        console.say("roles get their rights on new tables by `qd db roles`")


def _is_unanswered(error: QdError) -> bool:
    """Whether no server was there; one that refuses this user says FATAL."""
    from qd_store.errors import DatabaseUnreachable

    return isinstance(error, DatabaseUnreachable) and "FATAL" not in str(error)


def _kind(text: str | None) -> TableKind | None:
    from qd_store.tables import TableKind

    if text is None:
        return None
    try:
        return TableKind(text)
    except ValueError:
        raise RequestRefused(
            f"--kind is {text!r}; expected {' or '.join(kind.value for kind in TableKind)}"
        ) from None


def refresh(
    everything: Annotated[
        bool, typer.Option("--all", help="Make all bars anew, not only those that are behind.")
    ] = False,
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Bring stored bars up to the trades; `qd import` does it at its end.

    Until then whoever reads bars gets right ones too, made of trades, which takes longer.

    \b
    Examples:
      qd db refresh
      qd db refresh --all
    """
    from qd_cli.blocking import run_blocking
    from qd_store.tables import refresh_bars

    where = targets(state, database=database)
    dsn = where.database

    def work(meter: Meter) -> int:
        return refresh_bars(
            dsn,
            progress=lambda now: meter.take(now.done, now.total, now.what),
            stop=meter.stop,
            everything=everything,
        )

    markets = where.run(lambda _: run_blocking("refreshing", work, hidden=json))
    if json:
        console.print_json({"event": "refresh", "markets": markets})
    else:
        console.say(
            f"bars of {console.count(markets)} markets refreshed"
            if markets
            else "no bars are behind"
        )


def roles(
    prefix: Annotated[
        str, typer.Option(metavar="WORD", help="What the names of the roles begin with.")
    ] = "qd",
    state: State = None,
    database: DatabaseOption = None,
    json: Json = False,
) -> None:
    """Make the roles owner, importer, gateway and symdb, or bring them up to date.

    Each gets the rights that its work needs, and loses all others: the owner has and migrates
    the tables, the importer adds trades and changes none, the gateway reads symbols, trades and
    bars, symdb reads symbols. Run it as a superuser, once, and after `qd db migrate` has made
    new tables.

    Passwords come from QD_OWNER_PASSWORD, QD_IMPORTER_PASSWORD, QD_GATEWAY_PASSWORD and
    QD_SYMDB_PASSWORD, or from the files that these names with _FILE give. Without one, a role
    keeps the password that it has.

    \b
    Examples:
      qd db roles
      QD_GATEWAY_PASSWORD_FILE=/run/secrets/gateway qd db roles
      qd db roles --prefix trading --json
    """
    from qd_store.administration.roles import PasswordState, apply_roles, passwords_of, variable_of

    passwords = passwords_of(os.environ)
    where = targets(state, database=database, role="admin")
    dsn = where.database
    made = where.run(lambda _: asyncio.to_thread(apply_roles, dsn, passwords, prefix=prefix))
    if json:
        for role in made:
            console.print_json({"event": "role", **_fields(role)})
        return
    console.print_table(
        ("ROLE", "FOR", "STATE", "PASSWORD"),
        [tuple(str(value) for value in _fields(role).values()) for role in made],
    )
    for role in made:
        if role.password is PasswordState.NONE:
            console.say(f"{role.name} has no password: set {variable_of(role.purpose)} to give one")


def _fields(role: Role) -> dict[str, str]:
    return {
        "role": role.name,
        "for": role.purpose.value,
        "state": "made" if role.is_new else "updated",
        "password": role.password.value,
    }
