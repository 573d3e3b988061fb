"""A whole deployment on a real cluster, where QD_KUBE_CONTEXT names its context.

QD_KUBE_IMAGE names the image that its nodes have (default: the version's own, ``qd:0.1.0``). It
makes a namespace of its own and removes it. It takes some minutes.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.commands import Qd

CONTEXT = os.environ.get("QD_KUBE_CONTEXT", "")
IMAGE = os.environ.get("QD_KUBE_IMAGE", "qd:0.1.0")
pytestmark = [
    pytest.mark.skipif(not CONTEXT, reason="QD_KUBE_CONTEXT names no Kubernetes cluster"),
    pytest.mark.timeout(1200),
]
ROWS = 1_000


@pytest.fixture
def namespace(bare_qd: Qd, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("QD_DEPLOYMENT", "")
    name = f"qd-test-{uuid.uuid4().hex[:8]}"
    yield name
    done = bare_qd("undeploy", "--data", "--yes", "--context", CONTEXT, "-n", name)
    assert done.code == 0, done.err


def test_the_main_job(bare_qd: Qd, namespace: str, tmp_path: Path) -> None:
    where = ("--context", CONTEXT, "-n", namespace)
    deployed = bare_qd(
        *("deploy", "--overlay", "embedded", "--tls", "--image", IMAGE, *where),
        *("--timeout", "600"),
    )
    assert deployed.code == 0, deployed.err
    parts = {each["part"]: each["state"] for each in bare_qd.json("deploy", "status")}
    assert set(parts.values()) == {"ready", "done"}
    file = tmp_path / "XBTCAD.csv"
    file.write_text("".join(f"{1_400_000_000 + n},{500 + n % 7}.5,0.25\n" for n in range(ROWS)))
    assert bare_qd("import", file).code == 0
    assert [each["symbol"] for each in bare_qd.json("symbols")] == ["XBTCAD"]
    assert len(bare_qd.json("stream", "XBTCAD")) == ROWS
    assert bare_qd("shell", "--", "qd", "topics", "list").code == 0
    again = bare_qd("deploy", "--overlay", "embedded", "--tls", "--image", IMAGE, *where)
    assert again.code == 0, again.err
    assert "made" not in again.err
    missing = bare_qd(
        *("deploy", "--overlay", "embedded", "--tls", "--image", "localhost/qd:missing", *where),
        *("--timeout", "200"),
    )
    assert missing.code == 1
    assert "cannot get its image" in missing.err
