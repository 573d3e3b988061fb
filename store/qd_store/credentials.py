"""Where the database's DSN and the roles' passwords come from: the environment, or a file.

A password is never taken from a command line, which every user of a machine can read, and
nothing here prints one. A DSN without a password is completed by libpq itself, from PGPASSWORD
or its passfile.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import conninfo

from qd_schemas.errors import SettingError
from qd_schemas.specs import DatabaseSettings
from qd_store.errors import DatabaseUnreachable

FILE_BYTES_MAX = 65_536
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
    return DatabaseSettings.from_env({"QD_DATABASE": text}, name=f"the file {settings.file}").dsn


def secret_of(setting: str, path: str) -> str:
    """The one line of text in a file.

    Parameters
    ----------
    setting : str
        Who names the file, for the error.
    path : str
        The file.

    Raises
    ------
    SettingError
        It cannot be read, or is empty, or is something else; its text is never repeated.
    """
    try:
        with Path(path).open("rb") as file:
            found = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise SettingError(
            f"{setting} names {path}, which cannot be read ({error.strerror}): "
            "expected a file with one line"
        ) from None
    lines = found.strip().splitlines()
    if len(lines) != 1 or len(found) > FILE_BYTES_MAX:
        raise SettingError(
            f"{setting} names {path}, which has {len(lines)} lines in {len(found)} bytes: "
            "expected one line"
        )
    try:
        return lines[0].decode()
    except UnicodeDecodeError:
        raise SettingError(f"{setting} names {path}, which is not UTF-8: save it so") from None


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
