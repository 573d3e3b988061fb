"""The running embedded server: start it, wait until it answers, stop it.

It listens on 127.0.0.1 only, on a free port or a chosen one, without a Unix socket.
Data folders belong to `cluster`, programs and users to `runtime`.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from qd_store.embedded.cluster import USER, DataFolder, opened
from qd_store.embedded.runtime import Runtime
from qd_store.errors import EmbeddedFailed

HOST = "127.0.0.1"
DATABASE = "qd"
START_SECONDS_MAX = 120.0  # a restart after a crash replays the log first
FAST_STOP_SECONDS_MAX = 8.0
_POLL_SECONDS = 0.03
_END_SECONDS_MAX = 1.0  # from the loss of its connections to its end, where it crashed
_PORT_ATTEMPTS_MAX = 3

# Chosen for one machine that imports in bulk and reads in order; commits stay durable.
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "96MB",
    "maintenance_work_mem": "96MB",
    "work_mem": "8MB",
    # No replication, so that a new market's rows are written once, not twice.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "logging_collector": "off",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers at `dsn`."""

    process: subprocess.Popen[str]
    dsn: str

    def wait(self) -> int:
        """Wait until the server ends by itself and return its exit code."""
        return self.process.wait()


@contextlib.contextmanager
def running(folder: DataFolder, runtime: Runtime, port: int) -> Iterator[Server]:
    """Run the server while the block runs.

    Parameters
    ----------
    folder : DataFolder
        Locked and initialised.
    runtime : Runtime
        The programs and their user.
    port : int
        The TCP port; 0 takes a free one.

    Raises
    ------
    EmbeddedFailed
        The port is taken, or the server ended or did not answer in time.
    """
    with opened(folder.cluster, runtime) as (data, descriptor):
        for attempt in range(1, _PORT_ATTEMPTS_MAX + 1):
            chosen = _usable_port(port)
            arguments = ["-D", data, "-p", str(chosen)]
            for name, value in _SETTINGS.items():
                arguments += ["-c", f"{name}={value}"]
            process = runtime.spawn("postgres", arguments, pass_fds=(descriptor,))
            try:
                if _has_database(process, _dsn(folder, chosen, "postgres")):
                    yield Server(process, _dsn(folder, chosen, DATABASE))
                    return
            finally:
                stop(process)
            # Between choosing a free port and using it another process may take it.
            if port or attempt == _PORT_ATTEMPTS_MAX:
                break
    raise EmbeddedFailed(
        f"PostgreSQL ended with code {process.returncode} before it answered; "
        "its own messages are in the log above"
    )


def _dsn(folder: DataFolder, port: int, database: str) -> str:
    return f"postgresql://{USER}:{folder.password()}@{HOST}:{port}/{database}"


def _usable_port(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise EmbeddedFailed(
                f"port {port} on {HOST} cannot be used ({error}): "
                "choose another, or 0 for a free one"
            ) from error
        found: int = probe.getsockname()[1]
        return found


def _answers(process: subprocess.Popen[str], dsn: str) -> bool:
    """Wait until the server answers; False when it ended instead."""
    error: psycopg.OperationalError | None = None
    for _ in range(int(START_SECONDS_MAX / _POLL_SECONDS)):
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as found:
            error = found
        else:
            return process.poll() is None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return False
    raise EmbeddedFailed(f"PostgreSQL did not answer in {START_SECONDS_MAX:.0f} s: {error}")


def _has_database(process: subprocess.Popen[str], dsn: str) -> bool:
    """Wait until the server answers and has the database; False when it ended instead."""
    if not _answers(process, dsn):
        return False
    try:
        _create_database(dsn)
    except psycopg.Error as error:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS_MAX)
            return False
        raise EmbeddedFailed(f"PostgreSQL made no database {DATABASE}: {error}") from error
    return True


def _create_database(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a server: fast shutdown, then immediate, then by force."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(FAST_STOP_SECONDS_MAX)
