"""State folders whose processes never outlive a test, and stand-in parts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from qd_cli.stack import Part, StateFolder
from qd_cli.stack.parts import Provides
from qd_cli.stack.processes import marked
from support.stacks import MakePart

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
