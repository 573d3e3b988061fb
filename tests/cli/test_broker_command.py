"""``qd broker``: a broker in the foreground, plain and with TLS."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from qd_cli.errors import ExitCode
from qd_fluvio.broker.settings import FAULTS_HELP
from support.commands import Qd

SECONDS_MAX = 60.0


@contextmanager
def broker(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """A broker on free ports; gives what it says when it is ready."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "qd_cli", "broker", "--json", "--data", str(folder / "data")),
            *("--port", "0", "--spu-port", "0", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line, process.communicate()[1]
            yield json.loads(line)
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=SECONDS_MAX)
            assert process.returncode == ExitCode.SIGNALLED + signal.SIGINT
            assert "Traceback" not in errors


def test_it_serves_and_keeps_its_topics(
    bare_qd: Qd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        with broker(tmp_path, "--durability", "power", "--faults", "cut-batches") as ready:
            monkeypatch.setenv("QD_FLUVIO", ready["endpoint"])
            assert bare_qd("topics", "create", "kept", "--if-not-exists").code == 0
            assert [row["name"] for row in bare_qd.json("topics", "list")] == ["kept"]
            taken = bare_qd("broker", "--data", tmp_path / "data")
            assert taken.code == ExitCode.FAILED
            assert str(tmp_path / "data") in taken.err
            port = ready["endpoint"].rpartition(":")[2]
            taken = bare_qd("broker", "--data", tmp_path / "x", "--port", port, "--spu-port", "0")
            assert "free the port or choose another" in taken.err


@pytest.mark.parametrize("client", ["official", "native"])
def test_tls_from_the_environment_and_from_a_profile(
    bare_qd: Qd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    monkeypatch.setenv("QD_FLUVIO_CLIENT", client)
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "custom-spu-5001.localhost")
    me = authority.issue_cert("me")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, issued in (("server", server), ("me", me)):
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    files = {name: str(tmp_path / name) for name in ("ca.pem", "me.pem", "me.key")}
    options = [
        *("--tls-cert", str(tmp_path / "server.pem"), "--tls-key", str(tmp_path / "server.key")),
        *("--tls-client-ca", files["ca.pem"], "--advertise", "localhost"),
    ]
    with broker(tmp_path, *options) as ready:
        assert ready["tls"] is True
        monkeypatch.setenv("QD_FLUVIO", ready["endpoint"])
        assert bare_qd("topics", "list").code == ExitCode.TRY_AGAIN
        tls = {
            "QD_FLUVIO_TLS_CA": files["ca.pem"],
            "QD_FLUVIO_TLS_CERT": files["me.pem"],
            "QD_FLUVIO_TLS_KEY": files["me.key"],
        }
        for name, value in tls.items():
            monkeypatch.setenv(name, value)
        assert bare_qd("topics", "create", "safe").code == 0
        for name in (*tls, "QD_FLUVIO"):
            monkeypatch.delenv(name)
        added = bare_qd(
            *("profile", "add", "safe", ready["endpoint"], "--tls-ca", files["ca.pem"]),
            *("--tls-cert", files["me.pem"], "--tls-key", files["me.key"]),
        )
        assert added.code == 0, added.err
        (tmp_path / "in").write_text("secret\n")
        produced = bare_qd("produce", "safe", "--file", tmp_path / "in")
        assert produced.code == 0, produced.err
        assert bare_qd("consume", "safe", "-B", "-d").lines == ["secret"]


def test_tls_needs_both_files(bare_qd: Qd, tmp_path: Path) -> None:
    (tmp_path / "x.pem").touch()
    assert "TLS without --tls-key" in bare_qd("broker", "--tls-cert", tmp_path / "x.pem").err
    assert "TLS without --tls-cert" in bare_qd("broker", "--tls-key", tmp_path / "x.pem").err
    assert bare_qd("broker", "--tls-cert", tmp_path / "none.pem").code == ExitCode.USAGE


def test_the_help_names_every_fault(bare_qd: Qd) -> None:
    text = "".join(bare_qd("broker", "--help").out.split())  # lines are folded at hyphens too
    for fault in FAULTS_HELP.replace(" or ", ", ").split(", "):
        assert fault in text
