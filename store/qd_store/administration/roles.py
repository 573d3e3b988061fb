"""The roles of a market database, each with the rights that its work needs and no more.

::

    owner      owns the tables and migrates them
    importer   adds trades, and makes bars of them; changes and deletes no trade
    gateway    reads exchanges, symbols, trades and bars; keeps its sessions and slots
    symdb      reads exchanges and symbols

`apply_roles` may be called any number of times: it makes what is missing and takes away what
is too much. It takes a superuser, since tables change their owner. Bars follow from trades
and can be made anew at any time; on TimescaleDB the importer owns them, since only the owner
of a continuous aggregate can refresh it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import psycopg
from psycopg import sql

from qd_store.administration.rights import grant_rights
from qd_store.connections import connect, translating
from qd_store.credentials import given_secret
from qd_store.errors import RolesRefused

PREFIX_DEFAULT: Final = "qd"
ROLE_NAME_BYTES_MAX: Final = 63  # PostgreSQL cuts longer names


class Purpose(StrEnum):
    """What a role is for."""

    OWNER = "owner"
    IMPORTER = "importer"
    GATEWAY = "gateway"
    SYMDB = "symdb"


class PasswordState(StrEnum):
    """What became of a role's password."""

    SET = "set"
    """It was given, and is the role's now."""
    KEPT = "kept"
    """None was given; the role has the one that it had."""
    NONE = "none"
    """None was given, and the role has none: it cannot log in with one."""


@dataclass(frozen=True, slots=True)
class Role:
    """One role, as it is after `apply_roles`."""

    name: str
    purpose: Purpose
    is_new: bool
    password: PasswordState


# An importer holds one transaction for as long as a file takes; the others read, and a gateway
# says so where it writes what it shares with others.
_SETTINGS: Final[Mapping[Purpose, Mapping[str, str]]] = {
    Purpose.OWNER: {},
    Purpose.IMPORTER: {},
    Purpose.GATEWAY: {"default_transaction_read_only": "on"},
    Purpose.SYMDB: {"default_transaction_read_only": "on"},
}
_ATTRIBUTES = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"

_GROUPS = """
SELECT of.rolname, by.rolname FROM pg_auth_members
JOIN pg_roles of ON of.oid = roleid JOIN pg_roles by ON by.oid = grantor
WHERE member = (SELECT oid FROM pg_roles WHERE rolname = %s) AND of.rolname <> %s
"""
_GRANTS_OF_EACH: Final = 160_000  # the version from which on a membership is its grantor's


def role_names(prefix: str = PREFIX_DEFAULT) -> dict[Purpose, str]:
    """The name of each role.

    Raises
    ------
    RolesRefused
        The prefix makes names that PostgreSQL would refuse or cut.
    """
    names = {purpose: f"{prefix}_{purpose}" for purpose in Purpose}
    longest = max(len(name.encode()) for name in names.values())
    if not prefix.isprintable() or prefix.startswith("pg") or not prefix:
        raise RolesRefused(f"the prefix is {prefix!r}; expected a word that does not begin with pg")
    if longest > ROLE_NAME_BYTES_MAX:
        raise RolesRefused(
            f"the prefix makes a name of {longest} bytes; expected at most {ROLE_NAME_BYTES_MAX}"
        )
    return names


def passwords_of(env: Mapping[str, str]) -> dict[Purpose, str]:
    """The passwords that are given: QD_OWNER_PASSWORD, or the file of QD_OWNER_PASSWORD_FILE...

    Raises
    ------
    SettingError
        Both are set for a role, or a file cannot be read.
    """
    found = {purpose: given_secret(env, variable_of(purpose)) for purpose in Purpose}
    return {purpose: password for purpose, password in found.items() if password is not None}


def variable_of(purpose: Purpose) -> str:
    """The variable that holds a role's password."""
    return f"QD_{purpose.upper()}_PASSWORD"


def apply_roles(
    dsn: str, passwords: Mapping[Purpose, str] | None = None, *, prefix: str = PREFIX_DEFAULT
) -> list[Role]:
    """Make the roles, or bring those that are there up to date; in one transaction.

    Parameters
    ----------
    dsn : str
        The database, as a superuser. Its tables need not be there yet; rights on them are
        given by calling this again.
    passwords : mapping, optional
        New passwords. They leave this process as SCRAM verifiers only.
    prefix : str
        What the names of the roles begin with: roles belong to a server, not to a database.

    Returns
    -------
    list of Role

    Raises
    ------
    RolesRefused
        The connection is no superuser's, a role is one, or the prefix makes no names.
    DatabaseUnreachable, ConnectionLost, QueryFailed
        About the database.
    """
    names = role_names(prefix)
    with translating(), connect(dsn) as connection, connection.transaction():
        _require_superuser(connection)
        _refuse_superusers(connection, list(names.values()))
        made = [
            _apply(connection, name, purpose, (passwords or {}).get(purpose))
            for purpose, name in names.items()
        ]
        for purpose, name in names.items():
            # Another database on this server may need the owner to be an importer as well.
            keep = names[Purpose.IMPORTER] if purpose is Purpose.OWNER else ""
            _leave_groups(connection, name, keep)
        grant_rights(connection, {str(purpose): name for purpose, name in names.items()})
    return made


def _require_superuser(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(
        "SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None  # whoever is connected is a role
    if not row[1]:
        raise RolesRefused(
            f"{row[0]} is no superuser, who alone can give tables to another owner: "
            "connect as one to apply roles"
        )


def _refuse_superusers(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Take the rights of no superuser: it may be the last one."""
    found = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolsuper AND rolname = ANY(%s)", [names]
    ).fetchone()
    if found is not None:
        raise RolesRefused(
            f"{found[0]} is a superuser, and would be one no more: choose another prefix"
        )


def _apply(
    connection: psycopg.Connection[Any], name: str, purpose: Purpose, password: str | None
) -> Role:
    # pg_authid, not pg_roles: only there it can be seen whether there is a password.
    found = connection.execute(
        "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = %s", [name]
    ).fetchone()
    role = sql.Identifier(name)
    verb = sql.SQL("CREATE ROLE" if found is None else "ALTER ROLE")
    connection.execute(sql.SQL("{} {} {}").format(verb, role, sql.SQL(_ATTRIBUTES)))
    for setting, value in _SETTINGS[purpose].items():
        connection.execute(
            sql.SQL("ALTER ROLE {} SET {} TO {}").format(
                role, sql.Identifier(setting), sql.Literal(value)
            )
        )
    if password is not None:
        _set_password(connection, name, password)
        state = PasswordState.SET
    else:
        state = PasswordState.KEPT if found == (True,) else PasswordState.NONE
    return Role(name, purpose, found is None, state)


def _leave_groups(connection: psycopg.Connection[Any], name: str, keep: str) -> None:
    """End a role's memberships but one: the rights of the others would be its own."""
    groups = connection.execute(_GROUPS, [name, keep]).fetchall()
    for group, grantor in groups:
        statement = sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), sql.Identifier(name))
        if connection.info.server_version >= _GRANTS_OF_EACH:
            statement += sql.SQL(" GRANTED BY {}").format(sql.Identifier(grantor))
        connection.execute(statement)


def _set_password(connection: psycopg.Connection[Any], name: str, password: str) -> None:
    """Set a password by its verifier, so that no log of the server can have the password."""
    verifier = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    )
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(verifier.decode())
        )
    )
