"""The data folder of the embedded server.

::

    DIR/lock       held while a wrapper process runs on this folder
    DIR/password   the password of the database user, for this machine's user only
    DIR/cluster/   PostgreSQL's own data directory

The folder is private to its user. Where the server runs as somebody else (see `runtime`),
that user cannot walk to ``DIR/cluster`` by its path, so the server gets it as an open
directory: ``/proc/self/fd/N``. PostgreSQL changes into it at once and uses relative paths.
This module makes and checks the folder; it never starts the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil

from qd_store.embedded.runtime import Runtime
from qd_store.errors import DataFolderInUse, EmbeddedFailed

USER = "qd"
_PASSWORD_BYTES = 24
_LEFTOVER_SECONDS_MAX = 10.0


class DataFolder:
    """The embedded server's folder; all methods need the lock of `locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cluster = path / "cluster"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if needed and keep others out of it while the block runs.

        Raises
        ------
        DataFolderInUse
            Another process holds it.
        EmbeddedFailed
            It cannot be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedFailed(
                f"data folder {self.path} cannot be used: {error.strerror}; "
                "choose a folder that you may write"
            ) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(lock, 32).decode(errors="replace").strip()
                raise DataFolderInUse(
                    f"data folder {self.path} is in use by process {holder or 'unknown'}: "
                    "stop that one, or choose another folder"
                ) from None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    def owner(self) -> int | None:
        """The user id that an existing cluster belongs to."""
        try:
            return self.cluster.stat().st_uid
        except FileNotFoundError:
            return None

    def password(self) -> str:
        """Read the password of the database user."""
        return (self.path / "password").read_text().strip()

    def initialise(self, runtime: Runtime) -> None:
        """Run initdb unless that has been done; leaves nothing half made."""
        if self.cluster.exists():
            return
        part = self.path / "cluster.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        if runtime.uid is not None and runtime.gid is not None:
            os.chown(part, runtime.uid, runtime.gid)
        password = secrets.token_urlsafe(_PASSWORD_BYTES)
        _write_private(self.path / "password", password)
        with opened(part, runtime) as (argument, data_fd), _piped(password, runtime) as pipe:
            _run_initdb(runtime, argument, data_fd, pipe)
        part.rename(self.cluster)

    def end_leftovers(self) -> None:
        """End what a killed wrapper left running, and clear its lock file.

        The caller holds the lock, so any server still working here is an orphan. It is
        known by its working directory, not by a process id that may be used again.
        """
        left = [process for process in psutil.process_iter() if self._works_here(process)]
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            _, left = psutil.wait_procs(left, timeout=_LEFTOVER_SECONDS_MAX)
            if not left:
                break
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _works_here(self, process: psutil.Process) -> bool:
        try:
            return process.name().startswith("postgres") and os.path.samefile(
                f"/proc/{process.pid}/cwd", self.cluster
            )
        except (OSError, psutil.Error):
            return False


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")


@contextlib.contextmanager
def opened(cluster: Path, runtime: Runtime) -> Iterator[tuple[str, int]]:
    """Open a data directory; gives its name for ``-D`` and the descriptor to pass on."""
    descriptor = os.open(cluster, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        changed = runtime.uid is not None
        yield (f"/proc/self/fd/{descriptor}" if changed else str(cluster.absolute())), descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _piped(text: str, runtime: Runtime) -> Iterator[int]:
    """A pipe holding `text` that the programs' user may open by name."""
    read_end, write_end = os.pipe()
    try:
        if runtime.uid is not None:
            os.fchown(read_end, runtime.uid, -1)
        os.write(write_end, f"{text}\n".encode())
        os.close(write_end)
        yield read_end
    finally:
        os.close(read_end)


def _run_initdb(runtime: Runtime, data: str, data_fd: int, password_fd: int) -> None:
    arguments = (
        f"--pgdata={data}",
        f"--username={USER}",
        f"--pwfile=/proc/self/fd/{password_fd}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-locale",
        "--no-instructions",
    )
    with runtime.spawn(
        "initdb", arguments, pass_fds=(data_fd, password_fd), stdout=subprocess.PIPE
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:  # asked to stop: what is half made is removed next time
            process.kill()
            raise
    if process.returncode != 0:
        reason = [line for line in output.splitlines() if "error" in line.lower()] or [output]
        raise EmbeddedFailed(
            f"initdb could not make a new database: {' '.join(reason)[-500:].strip()}; free "
            "space or rights may be missing, or the user id may have no name on this system "
            "(QD_DATABASE names another server instead)"
        )
