"""What a user chooses for a deployment, checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from qd_cli.deploy.names import NAMESPACE
from qd_cli.errors import RequestRefused
from qd_schemas.errors import SettingError
from qd_schemas.settings.file import nearest
from qd_schemas.settings.given import Given
from qd_schemas.settings.table import BY_NAME

_REPLICAS: Final = "replicas"
_REPLICAS_MAX: Final = 1_000
_SCALED: Final = ("gateway", "symdb")
_CONFIGURED: Final = ("gateway", "symdb", "analytics", "broker")
_CLUSTER: Final = "cluster"
"""The settings that say where the brokers are, which all their clients read."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is changed of an overlay.

    Attributes
    ----------
    replicas : mapping of str to int
        How many of each part.
    settings : mapping of str to (mapping of str to str)
        Settings by part, ``cluster`` for where the brokers are.
    """

    replicas: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_changes(texts: Sequence[str]) -> Changes:
    """Read ``gateway.replicas=2``, ``gateway.QD_GATEWAY_TOKENS=required``, ``QD_FLUVIO=sc:9003``.

    Raises
    ------
    RequestRefused
        One makes no sense.
    """
    replicas: dict[str, int] = {}
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        part, dot, key = name.strip().rpartition(".")
        if not mark or not key:
            raise _unclear(text)
        if key == _REPLICAS:
            replicas[part] = _count(part, value)
        else:
            chosen = part if dot else _CLUSTER
            settings.setdefault(chosen, {})[key] = _setting(chosen, key, value)
    return Changes(replicas, settings)


def _unclear(text: str) -> RequestRefused:
    return RequestRefused(
        f"--set is {text!r}; expected PART.replicas=N, PART.SETTING=VALUE or QD_FLUVIO=HOST:PORT, "
        "such as gateway.replicas=2"
    )


def _count(part: str, value: str) -> int:
    if part not in _SCALED:
        raise RequestRefused(
            f"--set {part}.{_REPLICAS}: expected {' or '.join(_SCALED)}, which may be several"
        )
    if not re.fullmatch(r"[0-9]{1,4}", value) or int(value) > _REPLICAS_MAX:
        raise RequestRefused(
            f"--set {part}.{_REPLICAS} is {value!r}; expected a whole number up to {_REPLICAS_MAX}"
        )
    return int(value)


def _setting(part: str, name: str, value: str) -> str:
    setting = BY_NAME.get(name)
    if setting is None:
        alike = nearest(name, BY_NAME)
        hint = f"did you mean {alike}?" if alike else "`qd config show` lists all settings"
        raise RequestRefused(f"--set: {name} is no setting; {hint}")
    if setting.is_secret:
        raise RequestRefused(
            f"--set: {name} is a secret, which all users of this machine could read here: put it "
            "into a Secret, as docs/deploy.md says"
        )
    if part not in (*_CONFIGURED, _CLUSTER):
        raise RequestRefused(f"--set {part}.{name}: expected one of {', '.join(_CONFIGURED)}")
    try:
        Given({name: value}).find(setting)
    except SettingError as error:
        raise RequestRefused(f"--set: {error}") from None
    return value


def checked_namespace(name: str) -> str:
    """A namespace's name.

    Raises
    ------
    RequestRefused
        Kubernetes would not take it.
    """
    if not _NAME.fullmatch(name):
        raise RequestRefused(
            f"--namespace is {name!r}; expected up to 63 of a-z, 0-9 and hyphens, such as "
            f"{NAMESPACE}"
        )
    return name
