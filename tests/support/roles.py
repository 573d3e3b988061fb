"""A database with the roles of its own, removed at the end: roles belong to the whole server."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from qd_store.administration.roles import Purpose, apply_roles, role_names
from qd_store.connections import connect
from qd_store.migrate import migrate
from support.databases import fresh_database


@dataclass(frozen=True)
class Roles:
    """A migrated database whose roles were applied.

    Attributes
    ----------
    admin : str
        Its DSN as a superuser.
    prefix : str
        Of the roles' names.
    passwords : dict
        Of each role; hard ones to write and to escape.
    """

    admin: str
    prefix: str
    passwords: dict[Purpose, str]

    def dsn(self, purpose: Purpose) -> str:
        """The database, as one of the roles."""
        return self.dsn_with(purpose, self.passwords[purpose])

    def dsn_with(self, purpose: Purpose, password: str) -> str:
        """The same with a password that may be wrong."""
        parts = urlsplit(self.admin)
        user = f"{self.prefix}_{purpose}:{quote(password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.hostname}:{parts.port}"))


@contextlib.contextmanager
def roles_of(server_dsn: str) -> Iterator[Roles]:
    """A new database on the server with its tables and roles."""
    prefix = f"t{secrets.token_hex(4)}"
    passwords = {purpose: f"{purpose}'s \"π\\{secrets.token_hex(8)}" for purpose in Purpose}
    try:
        with fresh_database(server_dsn) as admin:
            with connect(admin) as connection:
                migrate(connection)
            apply_roles(admin, passwords, prefix=prefix)
            yield Roles(admin, prefix, passwords)
    finally:
        drop_roles(server_dsn, prefix)


def drop_roles(server_dsn: str, prefix: str) -> None:
    """Drop roles whose databases are gone."""
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        for name in role_names(prefix).values():
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
