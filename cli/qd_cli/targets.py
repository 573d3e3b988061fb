"""Where the stack is that a command talks to: an option, else the environment, else a state,
and for the Fluvio cluster alone at last the current profile of Fluvio's own file.

A state is a stack that runs on this machine, or a deployment on Kubernetes: the one that was chosen
outright (``qd --cluster``, QD_DEPLOYMENT), else the stack, else the deployment that is remembered.
Nothing here connects to anything but the tunnels into a deployment.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qd_cli import console
from qd_cli.errors import NoStack, PartDied, RequestRefused
from qd_cli.interrupts import Interrupts, run
from qd_cli.stack.parts import DATABASE, DATABASE_FILE, FLUVIO, SYMDB
from qd_cli.stack.record import StateFolder
from qd_client.local import is_alive, state_path
from qd_schemas.errors import QdError, SettingError

if TYPE_CHECKING:
    from qd_cli.deploy.reached import Reached
    from qd_cli.deploy.remembered import Deployment
    from qd_cli.profiles import Profile
    from qd_client.local import StackRecord
    from qd_schemas.specs import FluvioSettings

T = TypeVar("T")
_LOOK_SECONDS = 0.5


def died(parts: str) -> str:
    """Say that parts died, and what to do."""
    return f"{parts} died: `qd up` starts it again"


def state_folder(given: Path | None) -> StateFolder:
    """Return the state folder: ``--state``, QD_STATE, or the user's data folder."""
    return StateFolder(state_path(given))


@dataclass(frozen=True, slots=True)
class Targets:
    """Settings found for a command.

    Parameters
    ----------
    given : mapping of str to str
        What options named.
    folder : StateFolder
        Whose running stack is used for what neither options nor the environment name.
    role : str
        The database's role to take in a deployment: owner, importer or admin.
    """

    given: Mapping[str, str]
    folder: StateFolder
    role: str = "owner"

    def cluster(self) -> FluvioSettings:
        """Find the Fluvio cluster, and how to speak to it.

        That is what the option or QD_FLUVIO names (``host:port``, or a profile), else the
        running stack's, else that of Fluvio's current profile. A person is told which one
        when it was not named.
        """
        from qd_cli.profiles import ProfileFile

        file = ProfileFile()
        given = self._named(FLUVIO)
        if given and ":" not in given and any(p.name == given for p in file.profiles()):
            return _of_profile(file.find(given))
        if given:
            return _of_endpoint(given)
        if deployed := self._deployed():
            return deployed.cluster
        record = self.folder.read()
        if record.parts:  # of a stack that died, it is said that it died
            found = self._find(FLUVIO)
            self._tell_of_profile(found)
            return _of_stack(found, record)
        profile = file.current()
        if profile is None:
            raise self._no_stack(FLUVIO)
        _tell(f"using Fluvio's profile {profile.name} ({profile.endpoint}); --fluvio names another")
        return _of_profile(profile)

    def _tell_of_profile(self, used: str) -> None:
        """Say that the running stack goes before a profile that names another cluster."""
        from qd_cli.profiles import ProfileFile

        with contextlib.suppress(QdError):  # a broken profile file is none of a stack's business
            profile = ProfileFile().current()
            if profile is not None and profile.endpoint != used:
                _tell(
                    f"using the running stack ({used}), not Fluvio's profile {profile.name} "
                    f"({profile.endpoint}): `--fluvio {profile.name}` does"
                )

    @property
    def database(self) -> str:
        """The database's DSN: the option's, QD_DATABASE, its file's, or the running stack's."""
        if given := self.given.get(DATABASE):
            return given
        if named := database_of(os.environ):
            return named
        deployed = self._deployed()
        return deployed.database(self.role) if deployed else self._find(DATABASE)

    def database_at_hand(self) -> str | None:
        """The database's DSN; None where nothing names one and no stack has one."""
        with contextlib.suppress(NoStack):
            return self.database
        return None

    @property
    def symdb(self) -> str:
        """``host:port`` of symdb; how to speak TLS to a deployment's joins the environment."""
        deployed = None if self._named(SYMDB) else self._deployed()
        if deployed is None:
            return self._find(SYMDB)
        endpoint, settings = deployed.symdb
        os.environ.update(settings)
        return endpoint

    def _deployed(self) -> Reached | None:
        """The deployment to use; none where a stack of this machine goes first."""
        from qd_cli.deploy import remembered

        if where := remembered.chosen(self.folder.path):
            return _reached(where)
        where = None if self.folder.read().parts else remembered.fallback(self.folder.path)
        if where is None:
            return None
        _tell_of_deployment(where)
        return _reached(where)

    def run(self, main: Callable[[Interrupts], Awaitable[T]]) -> T:
        """Run a command's coroutine; its error also says which part of the stack died."""
        try:
            return run(main)
        except QdError as error:
            dead = self.dead()
            if not dead or isinstance(error, PartDied):
                raise
            raise PartDied(f"{error}\nqd: {died(dead)}") from error

    async def until_one_dies(self) -> None:
        """Wait until a part of the stack dies.

        Raises
        ------
        PartDied
            Says which one.
        """
        while True:
            if dead := self.dead():
                raise PartDied(died(dead))
            await asyncio.sleep(_LOOK_SECONDS)

    def dead(self) -> str:
        """Name the parts of the running stack that died, unless another stack was meant."""
        from qd_cli.deploy import remembered

        names = (FLUVIO, DATABASE, DATABASE_FILE, SYMDB)
        if any(self.given.get(name) or os.environ.get(name) for name in names):
            return ""
        if remembered.chosen(self.folder.path):
            return ""
        parts = self.folder.read().parts.items()
        return ", ".join(name for name, part in parts if not is_alive(part.identity))

    def _named(self, setting: str) -> str | None:
        return self.given.get(setting) or os.environ.get(setting) or None

    def _find(self, setting: str) -> str:
        if found := self._named(setting):
            return found
        record = self.folder.read()
        value = record.settings.get(setting)
        if not record.is_running or value is None:
            raise self._no_stack(setting)
        return value

    def _no_stack(self, setting: str) -> NoStack:
        hint = ", or choose a cluster with `qd profile switch`" if setting == FLUVIO else ""
        return NoStack(
            f"no stack is running in {self.folder.path}: start one with `qd up`, "
            f"or set {setting} to use another{hint}"
        )


def database_of(env: Mapping[str, str]) -> str | None:
    """The database's DSN that QD_DATABASE holds, or the file that QD_DATABASE_FILE names.

    Raises
    ------
    SettingError
        It is no DSN, or the file cannot be read.
    """
    if not (env.get(DATABASE) or env.get(DATABASE_FILE)):
        return None
    from qd_schemas.specs import DatabaseSettings
    from qd_store.credentials import dsn_of

    return dsn_of(DatabaseSettings.from_env(env))


def _reached(where: Deployment) -> Reached:
    from qd_cli.deploy.reached import reached

    return reached(where)


@functools.cache
def _tell_of_deployment(where: Deployment) -> None:
    """Say once that a deployment is used which nobody named."""
    _tell(f"using the deployment {where}; `qd --no-cluster` does not")


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        console.say(text)


def _of_endpoint(endpoint: str) -> FluvioSettings:
    """The cluster that the user names; how to speak to it is in the environment."""
    from qd_schemas.specs import FluvioSettings

    try:
        return FluvioSettings.from_env({**os.environ, FLUVIO: endpoint})
    except SettingError as error:
        hint = "" if ":" in endpoint else "; no profile has this name either (`qd profile list`)"
        raise RequestRefused(f"{error}{hint}") from None


def without_tls(endpoint: str) -> FluvioSettings:
    """The cluster at an endpoint where the environment's TLS settings are not meant for it."""
    from qd_schemas.specs import FLUVIO_TLS_NAMES, FluvioSettings

    env = {name: value for name, value in os.environ.items() if name not in FLUVIO_TLS_NAMES}
    return FluvioSettings.from_env({**env, FLUVIO: endpoint})


def _of_stack(endpoint: str, record: StackRecord) -> FluvioSettings:
    """A stack's cluster; a broker of its own speaks without TLS."""
    return _of_endpoint(endpoint) if FLUVIO in record.external else without_tls(endpoint)


def _of_profile(profile: Profile) -> FluvioSettings:
    from qd_cli.profile_tls import tls_of

    try:
        found = without_tls(profile.endpoint)
    except SettingError:
        raise RequestRefused(
            f"profile {profile.name} has the endpoint {profile.endpoint!r}; expected host:port: "
            f"correct it with `qd profile add {profile.name} HOST:PORT --replace`"
        ) from None
    return dataclasses.replace(found, tls=tls_of(profile))
