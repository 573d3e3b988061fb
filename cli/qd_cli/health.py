"""Asking a service of this machine whether it is well, over HTTP as Kubernetes' probes do.

It imports little, so that the answer comes within a moment: a container's health command runs
every few seconds for as long as the container does.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qd_cli.errors import ExitCode, RequestRefused
from qd_schemas.settings.given import Given
from qd_schemas.settings.kinds import Address
from qd_schemas.settings.table import (
    ANALYTICS_METRICS,
    BROKER_METRICS,
    GATEWAY_METRICS,
    SYMDB_METRICS,
)

SETTINGS: Final = {
    "gateway": GATEWAY_METRICS,
    "symdb": SYMDB_METRICS,
    "analytics": ANALYTICS_METRICS,
    "broker": BROKER_METRICS,
}
"""By the part's name, the setting that says where it answers."""
ANSWER_SECONDS_MAX: Final = 2.0
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Who listens at every address of a machine is asked at its loopback one."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a part said of itself, or what keeps it from saying anything."""

    part: str
    is_good: bool
    text: str


def plainly_asked(words: Sequence[str]) -> int | None:
    """Run ``qd health`` without the machinery of commands, which costs more than the question.

    Parameters
    ----------
    words : sequence of str
        What follows ``health``.

    Returns
    -------
    int or None
        The exit code; None where the words need that machinery: ``--help``, or a mistake.
    """
    parts = [word for word in words if word != "--live"]
    if len(parts) > 1 or any(part not in SETTINGS for part in parts):
        return None
    return check(parts[0] if parts else None, live="--live" in words)


def check(part: str | None, *, live: bool) -> int:
    """Ask, and print what was told: what is wrong on standard error.

    Returns
    -------
    int
        The exit code.

    Raises
    ------
    RequestRefused
        There is no such part, or no address.
    SettingError
        An address is none.
    """
    path = "/livez" if live else "/readyz"
    asked = parts_to_ask(Given.of(os.environ), part)
    told = [ask(name, where, path) for name, where in asked.items()]
    for each in told:
        for line in each.text.splitlines():
            print(f"{each.part}: {line}", file=sys.stdout if each.is_good else sys.stderr)
    return ExitCode.OK if all(each.is_good for each in told) else ExitCode.FAILED


def parts_to_ask(given: Given, part: str | None) -> dict[str, Address]:
    """Where each part is asked: the named one, or else all that have an address.

    Raises
    ------
    RequestRefused
        There is no such part, or no address.
    SettingError
        An address is none.
    """
    if part is not None and part not in SETTINGS:
        raise RequestRefused(f"no part is named {part!r}: expected one of {', '.join(SETTINGS)}")
    asked = {part: SETTINGS[part]} if part is not None else SETTINGS
    found = {name: given.find(setting) for name, setting in asked.items()}
    there = {name: _reached(address) for name, address in found.items() if address is not None}
    if not there:
        names = " or ".join(setting.name for setting in asked.values())
        raise RequestRefused(f"found nowhere to ask: set {names} as for the service, to host:port")
    return there


def _reached(listens: Address) -> Address:
    return Address(_ANYWHERE.get(listens.host, listens.host), listens.port)


def ask(part: str, where: Address, path: str) -> Told:
    """Ask one part.

    Parameters
    ----------
    path : str
        ``/readyz`` or ``/livez``.
    """
    connection = http.client.HTTPConnection(where.host, where.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
    except TimeoutError:
        return Told(part, False, f"{where.endpoint} has not answered in {ANSWER_SECONDS_MAX:g} s")
    except OSError as error:
        return Told(part, False, f"{where.endpoint} does not answer: {error.strerror or error}")
    except http.client.HTTPException:
        return Told(part, False, f"{where.endpoint} is no service of qd: it speaks no HTTP")
    finally:
        connection.close()
    return Told(part, answer.status == http.client.OK, text)
