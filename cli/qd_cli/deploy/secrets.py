"""The Secrets that a deployment needs: which are missing, and new ones. Pure but for randomness.

Passwords are made here and go to the cluster by kubectl's standard input. They are printed
nowhere and written to no file.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from qd_cli.deploy.kubectl import Json
from qd_cli.deploy.names import COMPONENT_LABEL, DATABASE, NAME, NAME_LABEL
from qd_cli.deploy.plan import SecretUse, component_of, kind_of, name_of
from qd_cli.errors import RequestRefused

ADMIN: Final = f"{DATABASE}-admin"
OWNER: Final = f"{DATABASE}-owner"
IMPORTER: Final = f"{DATABASE}-importer"
_USERS: Final[Mapping[str, str]] = {
    ADMIN: "postgres",
    OWNER: "qd_owner",
    IMPORTER: "qd_importer",
    f"{DATABASE}-gateway": "qd_gateway",
    f"{DATABASE}-symdb": "qd_symdb",
}
"""The Secrets of the database in the cluster, and the user whose password each holds."""
_DATABASE_TLS: Final = "qd-tls-database"
_PORT: Final = 5432
_DATABASE_NAME: Final = "qd"
_PASSWORD_BYTES: Final = 32
_HOW: Final[Mapping[str, str]] = {
    "qd-fluvio": "with the keys ca.crt, tls.crt and tls.key, of your Fluvio's profile; where it "
    "speaks no TLS, take components/tls into an overlay of your own in the place of --tls",
    "qd-tls": "as cert-manager writes them, or give --tls",
    DATABASE: "with the keys password and dsn, of your database",
}


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A Secret to be made.

    Attributes
    ----------
    name : str
        Its name.
    body : mapping
        The object; never shown.
    values : tuple of str
        What no message may repeat.
    """

    name: str
    body: Json = field(repr=False)
    values: tuple[str, ...] = field(repr=False)


def has_database(objects: Sequence[Json]) -> bool:
    """Whether the database is in the cluster, and so are its users' passwords ours to make."""
    return any(kind_of(each) == "StatefulSet" and name_of(each) == DATABASE for each in objects)


def makeable(objects: Sequence[Json], *, tls: Collection[str] = ()) -> frozenset[str]:
    """The names of the Secrets that are made where they are missing."""
    return frozenset((*(_USERS if has_database(objects) else ()), *tls))


def database_secrets(missing: Collection[str]) -> list[NewSecret]:
    """Those of the database's Secrets that are missing, with new passwords."""
    return [_of_user(name, user) for name, user in _USERS.items() if name in missing]


def _of_user(name: str, user: str) -> NewSecret:
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    # How the connection is secured is said by the pods' own settings, so that it may change.
    dsn = f"postgresql://{user}:{quote(password)}@{DATABASE}:{_PORT}/{_DATABASE_NAME}"
    text = {"password": password, "dsn": dsn}
    return NewSecret(name, secret_object(name, "database", text), (dsn, password))


def secret_object(
    name: str, component: str, text: Mapping[str, str], kind: str = "Opaque"
) -> dict[str, object]:
    """A Secret's object."""
    labels = {
        NAME_LABEL: NAME,
        COMPONENT_LABEL: component,
        "app.kubernetes.io/part-of": NAME,
        "app.kubernetes.io/managed-by": "qd-deploy",
    }
    metadata = {"name": name, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": metadata,
        "stringData": dict(text),
    }


def require_secrets(
    used: Mapping[str, SecretUse],
    there: Collection[str],
    made: Collection[str],
    objects: Sequence[Json],
) -> None:
    """Make sure that every Secret that pods need is there, or will be.

    Raises
    ------
    RequestRefused
        Some are not, and are the user's to make.
    """
    certificates = {
        str(each["spec"].get("secretName")) for each in objects if kind_of(each) == "Certificate"
    }
    missing = [name for name in used if name not in {*there, *made, *certificates}]
    if missing:
        inside = has_database(objects)
        lines = [f"  {name}{_keys(used[name])}: {_how(name, inside)}" for name in missing]
        raise RequestRefused(
            "these Secrets are missing, and are yours to make (`kubectl create secret generic NAME "
            "--from-file=KEY=FILE`):\n" + "\n".join(lines)
        )


def _keys(use: SecretUse) -> str:
    return f" ({', '.join(sorted(use.keys))})" if use.keys else ""


def _how(name: str, inside: bool) -> str:
    if name == _DATABASE_TLS and not inside:
        return "by which your database's certificate is signed"
    return next(
        (how for head, how in _HOW.items() if name.startswith(head)), "your overlay asks it"
    )


def require_password(missing: Collection[str], claims: Sequence[Json]) -> None:
    """Refuse to make a new password for a database that has another already.

    Raises
    ------
    RequestRefused
        The database's volume is there, but the Secret with its superuser's password is not.
    """
    volumes = [name_of(each) for each in claims if component_of(each) == "database"]
    if ADMIN in missing and volumes:
        raise RequestRefused(
            f"the database's volume ({', '.join(volumes)}) is there, but the Secret {ADMIN} with "
            "its password is not: restore the Secret, or remove the data with `qd undeploy --data`"
        )
