"""What does not answer yet is tried again, by the commands that new pods begin with."""

from __future__ import annotations

import pytest

from qd_cli import patience
from qd_cli.errors import ExitCode
from qd_cli.patience import patiently
from qd_fluvio.errors import ClusterUnreachable, TopicNotFound
from qd_schemas.errors import QdError
from support.commands import Qd


def unreachable(error: QdError) -> bool:
    return isinstance(error, ClusterUnreachable)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_PAUSE_SECONDS", 0)


async def test_it_succeeds_once_somebody_answers(capfd: pytest.CaptureFixture[str]) -> None:
    refusals = [ClusterUnreachable("nobody answers"), ClusterUnreachable("nobody answers")]

    async def connect() -> str:
        if refusals:
            raise refusals.pop()
        return "connected"

    assert await patiently(connect, unreachable) == "connected"
    assert capfd.readouterr().err == "nobody answers; trying again for 10 s\n"


async def test_what_does_not_pass_is_said_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    async def connect() -> None:
        raise TopicNotFound("no topic")

    with pytest.raises(TopicNotFound):
        await patiently(connect, unreachable)
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        ("topics", "apply", "--fluvio", "127.0.0.1:1"),
        ("db", "migrate", "--database", "postgresql://127.0.0.1:1/none"),
    ],
)
def test_it_gives_up(bare_qd: Qd, line: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0)
    done = bare_qd(*line)
    assert done.code == ExitCode.TRY_AGAIN
    told, error = done.err.splitlines()
    assert "; trying again for" in told
    assert error.startswith("qd: ")
