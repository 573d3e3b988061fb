"""Where the database's DSN and the roles' passwords come from: the environment, or a file.

A password is never taken from a command line, which every user of a machine can read, and
nothing here prints one. A DSN without a password is completed by libpq itself, from PGPASSWORD
or its passfile.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import conninfo

from qd_schemas.errors import SettingError
from qd_schemas.settings.secrets import secret_of
from qd_schemas.settings.table import DATABASE
from qd_schemas.specs import DatabaseSettings
from qd_store.errors import DatabaseUnreachable

_SECRETS = ("password", "sslpassword")


def dsn_of(settings: DatabaseSettings) -> str:
    """The DSN that settings give, or the file that they name.

    Raises
    ------
    SettingError
        The file cannot be read, or holds no DSN.
    """
    if not settings.file:
        return settings.dsn
    text = secret_of("QD_DATABASE_FILE", settings.file)
    try:
        return DATABASE.kind.parse(text)
    except ValueError:
        raise SettingError(
            f"the file {settings.file} {DATABASE.kind.wrong(text)}; "
            f"expected {DATABASE.kind.expected}"
        ) from None


def given_secret(env: Mapping[str, str], name: str) -> str | None:
    """A password from the variable `name`, or from the file that ``name_FILE`` names.

    Raises
    ------
    SettingError
        Both are set, or the file is not as expected.
    """
    text, path = env.get(name), env.get(f"{name}_FILE")
    if text and path:
        raise SettingError(f"{name} and {name}_FILE are both set; expected one of them")
    return secret_of(f"{name}_FILE", path) if path else text or None


def parsed(dsn: str) -> dict[str, str]:
    """The parameters of a DSN.

    Raises
    ------
    DatabaseUnreachable
        It is not a DSN; the message does not repeat it, since it may hold a password.
    """
    try:
        found = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise DatabaseUnreachable(
            "the database's DSN cannot be read; expected postgresql://user:password@host:port/name"
        ) from None
    return {key: str(value) for key, value in found.items() if value is not None}


def has_password(dsn: str) -> bool:
    """Whether a DSN holds a password."""
    return any(parsed(dsn).get(name) for name in _SECRETS)


def split_password(dsn: str) -> tuple[str, str | None]:
    """A DSN as key=value pairs without its password, and the password."""
    found = parsed(dsn)
    password = found.pop("password", None)
    return conninfo.make_conninfo("", **found), password


def public(dsn: str) -> str:
    """Who connects to where, for people: ``qd@db.example:5432/qd``."""
    found = parsed(dsn)
    user = f"{found['user']}@" if "user" in found else ""
    port = f":{found['port']}" if "port" in found else ""
    return f"{user}{found.get('host', 'localhost')}{port}/{found.get('dbname', '')}"
