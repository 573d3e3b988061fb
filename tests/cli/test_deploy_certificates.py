"""Certificates of a deployment: made, kept, renewed, and good for real TLS connections."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qd_cli.deploy.certificates import (
    CA,
    CLIENT,
    DAYS,
    RENEW_DAYS,
    SERVERS,
    Renewal,
    host_names,
    names_for,
    renewed,
)
from qd_cli.deploy.deploying import tls_components
from qd_cli.deploy.plan import secrets_used
from qd_cli.deploy.secrets import require_secrets
from qd_cli.errors import RequestRefused
from support.manifests import rendered

Json = dict[str, Any]
NAMES = (CA, *SERVERS, CLIENT)
NOW = datetime.now(UTC)


def stored(renewal: Renewal, *before: Json) -> list[Json]:
    """The Secrets as the cluster has them afterwards."""
    found = {each["metadata"]["name"]: each for each in before}
    for each in renewal.secrets:
        texts: dict[str, str] = each.body["stringData"]
        data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        found[each.name] = {"metadata": {"name": each.name}, "data": data}
    return list(found.values())


FIRST = renewed(NAMES, [], "qd", NOW)


def names(renewal: Renewal) -> set[str]:
    return {each.name for each in renewal.secrets}


def test_all_are_made_once() -> None:
    assert names(FIRST) == set(NAMES)
    again = renewed(NAMES, stored(FIRST), "qd", NOW)
    assert not again.secrets
    assert again.marks == FIRST.marks
    assert set(FIRST.marks) == {*SERVERS, CLIENT}


@pytest.mark.parametrize(
    ("overlay", "elsewhere"),
    [("embedded", ()), ("local", ("broker",)), ("production", ("broker", "database"))],
)
def test_none_is_made_for_a_server_elsewhere(overlay: str, elsewhere: tuple[str, ...]) -> None:
    expected = set(NAMES) - {f"qd-tls-{part}" for part in elsewhere}
    found = names_for(rendered(overlay).objects)
    assert set(found) == expected
    assert names(renewed(found, [], "qd", NOW)) == expected


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("embedded", ["tls", "tls-broker"]),
        ("local", ["tls", "tls-fluvio"]),
        ("production", ["tls"]),  # it has the name that its brokers' certificates are for
    ],
)
def test_all_parts_are_to_speak_tls(variant: str, expected: list[str]) -> None:
    assert tls_components(rendered(variant).objects) == expected


def test_a_database_elsewhere_has_a_ca_of_its_own() -> None:
    objects = rendered("production").objects
    with pytest.raises(RequestRefused, match=r"qd-tls-database .ca\.crt.: by which your database"):
        require_secrets(secrets_used(objects), (), (), objects)


def test_no_key_is_shown() -> None:
    assert "PRIVATE KEY" not in repr(FIRST)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (DAYS - RENEW_DAYS - 1, set()),
        (DAYS - RENEW_DAYS + 1, {*SERVERS, CLIENT}),
        (3650 - RENEW_DAYS + 1, set(NAMES)),
    ],
)
def test_those_that_end_soon_are_renewed(days: int, expected: set[str]) -> None:
    later = renewed(NAMES, stored(FIRST), "qd", NOW + timedelta(days=days))
    assert names(later) == expected
    assert {name for name, mark in later.marks.items() if mark != FIRST.marks[name]} == (
        expected - {CA}
    )


def test_what_is_broken_or_of_another_ca_is_made_anew() -> None:
    there = {each["metadata"]["name"]: each for each in stored(FIRST)}
    there["qd-tls-symdb"]["data"]["tls.key"] = there["qd-tls-broker"]["data"]["tls.key"]
    assert names(renewed(NAMES, list(there.values()), "qd", NOW)) == {"qd-tls-symdb"}
    del there["qd-tls-symdb"]
    there["qd-tls-broker"]["data"]["tls.crt"] = "no base64"
    assert names(renewed(NAMES, list(there.values()), "qd", NOW)) == {
        "qd-tls-symdb",
        "qd-tls-broker",
    }
    other = {each["metadata"]["name"]: each for each in stored(renewed(NAMES, [], "qd", NOW))}
    mixed = [other[name] if name == CA else each for name, each in there.items()]
    assert names(renewed(NAMES, mixed, "qd", NOW)) == {*SERVERS, CLIENT}


def test_another_namespace_has_other_names() -> None:
    assert names(renewed(NAMES, stored(FIRST), "other", NOW)) == set(SERVERS)
    assert "qd-symdb.other.svc.cluster.local" in host_names("qd-symdb", "other")
    assert "custom-spu-5001.qd-broker" in host_names("qd-broker", "qd")


@pytest.mark.parametrize("host", ["qd-broker", "custom-spu-5001.qd-broker.qd.svc", "127.0.0.1"])
def test_both_sides_trust_each_other(host: str, tmp_path: Path) -> None:
    texts = {each.name: each.body["stringData"] for each in FIRST.secrets}
    for name, text in texts.items():
        for key, value in text.items():
            (tmp_path / f"{name}-{key}").write_text(value)

    def context(purpose: int, name: str) -> ssl.SSLContext:
        found = ssl.SSLContext(purpose)
        found.load_verify_locations(tmp_path / f"{name}-ca.crt")
        found.load_cert_chain(tmp_path / f"{name}-tls.crt", tmp_path / f"{name}-tls.key")
        found.verify_mode = ssl.CERT_REQUIRED
        return found

    server = context(ssl.PROTOCOL_TLS_SERVER, "qd-tls-broker")
    client = context(ssl.PROTOCOL_TLS_CLIENT, CLIENT)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=host)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    left = [near, far]
    for _ in range(10):
        for side in list(left):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(side)
    assert not left
    assert near.version() == "TLSv1.3"
