"""State folders whose processes never outlive a test, stand-in parts, and a ``qd`` to call."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qd_cli.stack import Part, StateFolder
from qd_cli.stack.parts import Provides
from qd_cli.stack.processes import marked
from support.commands import Qd
from support.stacks import MakePart

_NUMBERS = itertools.count(1)
STANDINS = Path(__file__).resolve().parent / "standins"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StateFolder]:
    """A state folder; whatever a failed test leaves running is killed."""
    state = StateFolder(tmp_path / "state")
    yield state
    for group in marked(state.mark, "QD_PART").values():
        for identity in group:
            with contextlib.suppress(psutil.Error):
                psutil.Process(identity.pid).kill()


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> MakePart:
    """Make a stand-in part that behaves as told."""
    monkeypatch.setenv("PYTHONPATH", str(STANDINS))

    def make(
        name: str,
        behaviour: str = "good",
        *,
        needs: tuple[str, ...] = (),
        gives: str | None = None,
        endpoint: str = "127.0.0.1:1",
    ) -> Part:
        return Part(
            name,
            "service",
            (behaviour, name, endpoint, "{port}", "{data}"),
            needs=needs,
            provides=Provides(gives, "endpoint") if gives else None,
        )

    return make


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No stack, no profile and no setting that names a cluster."""
    for name in ("QD_FLUVIO", "QD_DATABASE", "QD_DATABASE_FILE", "QD_SYMDB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FLV_PROFILE_PATH", str(tmp_path / "profiles"))


@pytest.fixture
def bare_qd(nowhere: None, capsysbinary: pytest.CaptureFixture[bytes]) -> Qd:
    """A ``qd`` that finds no cluster."""
    return Qd(capsysbinary)


@pytest.fixture
def qd(bare_qd: Qd, fluvio_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Qd:
    """A ``qd`` on the cluster of this session."""
    monkeypatch.setenv("QD_FLUVIO", fluvio_endpoint)
    return bare_qd


@pytest.fixture
def topic() -> str:
    """A topic's name that no test had before."""
    return f"cli-{os.getpid()}-{next(_NUMBERS)}"
