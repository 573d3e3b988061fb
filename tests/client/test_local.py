"""Where a client connects: the environment, a file of settings, a running stack, or nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from qd_client import NoStack, QDClient, StackUnreadable, SymdbClient, UsageError
from qd_client.local import (
    FORMAT,
    RECORD_NAME,
    Identity,
    PartRecord,
    StackRecord,
    Surroundings,
    _warn,
    identify,
    is_alive,
    read_record,
    surroundings,
    symdb_surroundings,
)
from qd_schemas.specs import ClientKind, FluvioSettings, TlsSettings

STACK = {
    "QD_FLUVIO": "127.0.0.1:9003",
    "QD_SYMDB": "127.0.0.1:7070",
    "QD_DATABASE": "postgresql://x",
}
TLS = {"QD_FLUVIO_TLS_CA": "/ca.pem"}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state folder that this process's environment names; nothing else is set."""
    for name in list(os.environ):
        if name.startswith("QD_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QD_STATE", str(tmp_path))
    return tmp_path


def write(folder: Path, *, pid: int = os.getpid(), external: tuple[str, ...] = ()) -> None:
    """The record of a stack with one part: a process of this pid."""
    found = identify(os.getpid())
    assert found is not None
    part = PartRecord(pid, found.start, 0.0, {}, {"endpoint": STACK["QD_FLUVIO"]})
    record = StackRecord({"broker": part}, {name: STACK[name] for name in external}, STACK)
    (folder / RECORD_NAME).write_text(json.dumps(record.to_json()))


def test_the_running_stack(state: Path) -> None:
    write(state)
    found = FluvioSettings("127.0.0.1:9003")
    assert surroundings() == Surroundings(found, "127.0.0.1:7070", None, None)
    # The stack's own broker speaks no TLS; one that it was pointed at does.
    assert surroundings({**os.environ, **TLS}).fluvio == found
    write(state, external=("QD_FLUVIO",))
    assert surroundings({**os.environ, **TLS}).fluvio.tls == TlsSettings("/ca.pem")


def test_the_environment_goes_before_the_stack(state: Path) -> None:
    write(state)
    here = {**os.environ, "QD_FLUVIO": "far:1", "QD_FLUVIO_CLIENT": "native", **TLS}
    found = surroundings(here)
    assert found.fluvio == FluvioSettings("far:1", ClientKind.NATIVE, TlsSettings("/ca.pem"))
    assert found.symdb is None  # the stack's ids are another cluster's
    assert surroundings({**here, "QD_SYMDB": "far:2"}).symdb == "far:2"
    assert surroundings({**os.environ, "QD_SYMDB": "far:2"}).symdb == "far:2"
    known = surroundings({**here, "QD_CLIENT_ID": "77", "QD_CLIENT_TOKEN": "secret"})
    assert (known.client_id, known.token) == (77, "secret")
    assert "secret" not in repr(known)


def test_a_file_of_settings_goes_before_the_stack(state: Path) -> None:
    write(state)
    file = state / "qd.toml"
    file.write_text('[fluvio]\nendpoint = "far:1"\n')
    found = surroundings({**os.environ, "QD_CONFIG": str(file)})
    assert (found.fluvio.endpoint, found.symdb) == ("far:1", None)


def test_a_misspelt_setting_is_told_once(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(state)
    _warn.cache_clear()
    monkeypatch.setenv("QD_CLIENTID", "21")
    for _ in range(2):
        assert surroundings().client_id is None
    assert caplog.messages == [
        "QD_CLIENTID is set, but no setting has this name; did you mean QD_CLIENT_ID?"
    ]


def test_the_symbol_master_alone(state: Path) -> None:
    with pytest.raises(NoStack):
        SymdbClient()
    write(state)
    SymdbClient()
    assert symdb_surroundings()[0].endpoint == "127.0.0.1:7070"
    far = {"QD_SYMDB": "far:2", "QD_SYMDB_TLS_CA": "/ca.pem"}
    found, tls = symdb_surroundings({**os.environ, **far})
    assert (found.endpoint, tls) == ("far:2", TlsSettings("/ca.pem"))
    with pytest.raises(UsageError, match="host and port go together"):
        SymdbClient("far")


def test_nothing_runs(state: Path) -> None:
    for missing in (state, state / "none"):
        with pytest.raises(NoStack, match=r"start one with `qd up`, or set QD_FLUVIO"):
            surroundings({**os.environ, "QD_STATE": str(missing)})
        with pytest.raises(NoStack, match=str(state)):
            QDClient()
    write(state, pid=1)  # which is another process than the one that was started
    with pytest.raises(NoStack):
        QDClient()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', f'{{"format": {FORMAT}}}'])
def test_a_record_that_is_none(state: Path, text: str) -> None:
    (state / RECORD_NAME).write_text(text)
    with pytest.raises(StackUnreadable, match="is not a stack's record of format 1"):
        QDClient()


def test_a_record_that_cannot_be_read(state: Path) -> None:
    (state / RECORD_NAME).mkdir()
    with pytest.raises(StackUnreadable, match="cannot be read"):
        read_record(state / RECORD_NAME)


def test_a_process_is_not_its_pid() -> None:
    here = identify(os.getpid())
    assert here is not None
    assert is_alive(here)
    assert not is_alive(Identity(here.pid, "another start"))
    assert identify(2**22 + 1) is None
