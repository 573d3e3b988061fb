"""What all tests share: a Fluvio endpoint and a database, real processes over real TCP.

``QD_FLUVIO`` and ``QD_DATABASE`` point the suite at a real cluster and a real server;
without them the embedded parts are started once for the session.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from support.processes import running

WAITING_SHARE = 1.5
"""Tests of processes wait as much as they work, so there are more at a time than processors."""
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DATA = Path(__file__).resolve().parent / "data"

# How long an example takes, or is made, is the machine's matter.
settings.register_profile(
    "qd", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("qd")


def pytest_configure() -> None:
    """Hear SIGINT also where a shell started this in the background, which ignores it.

    Tests interrupt themselves and the processes that they start, which would ignore it, too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One at a time on a cluster or server that all tests share, else as many as are useful."""
    if "QD_FLUVIO" in os.environ or "QD_DATABASE" in os.environ:
        return 1
    return max(2, round((os.cpu_count() or 1) * WAITING_SHARE))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real trades beside the clone; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no folder ../shared/data with real trades beside this clone")
    return SHARED_DATA


@pytest.fixture(scope="session")
def oracle_data() -> Path:
    """The recorded oracles that the project carries."""
    return DATA


@pytest.fixture(scope="session")
def fluvio_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a Fluvio SC: QD_FLUVIO, or a local broker of this session."""
    if given := os.environ.get("QD_FLUVIO"):
        yield given
        return
    folder = tmp_path_factory.mktemp("broker")
    with running("qd_fluvio.broker", "--data", str(folder / "data"), folder=folder) as ready:
        yield str(ready["endpoint"])


@pytest.fixture(scope="session")
def database_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database's DSN: QD_DATABASE, or an embedded server of this session."""
    if given := os.environ.get("QD_DATABASE"):
        yield given
        return
    folder = tmp_path_factory.mktemp("database")
    with running("qd_store.embedded", "--data", str(folder / "data"), folder=folder) as ready:
        dsn = str(ready["dsn"])
        with psycopg.connect(dsn, autocommit=True) as connection:
            # Nobody needs what is in it after a power cut; tests that kill servers have their own.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield dsn
