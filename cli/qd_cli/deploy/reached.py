"""A deployment reached from this machine: settings as commands need them, through tunnels.

Everything is asked when it is first needed. What is secret stays in this process's memory: files
that libraries want to read are made there, too.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from qd_cli.deploy.kubectl import REQUEST_SECONDS, SECONDS_MAX, Json, Kubectl, program
from qd_cli.deploy.names import DATABASE, SELECTOR
from qd_cli.deploy.reaching import (
    SecretFile,
    Service,
    Workload,
    file_of,
    perhaps_service,
    require,
    secret_text,
    service_of,
    split,
    workloads,
)
from qd_cli.deploy.refusals import explain
from qd_cli.deploy.remembered import Deployment
from qd_cli.errors import KubernetesFailed, KubernetesUnreachable, RequestRefused

if TYPE_CHECKING:
    from qd_schemas.specs import FluvioSettings, TlsSettings

_LOCAL: Final = "127.0.0.1"
_SPUS_SECONDS: Final = 15.0
_END_SECONDS: Final = 5.0
_DSN_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_LIBPQ: Final = {"PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert"}


class Tunnels:
    """The tunnel process, as its command sees it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qd_cli.deploy.tunnel"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is the command's; its end ends the tunnels
        )
        assert self._process.stdin is not None
        # Whatever takes this process's place (psql) keeps the tunnels.
        os.set_inheritable(self._process.stdin.fileno(), True)
        atexit.register(self.close)

    def open(self, command: list[str], target: str, port: int, *, alone: bool) -> int:
        """Open a tunnel; its port on this machine.

        Parameters
        ----------
        alone : bool
            Whether each connection gets a kubectl of its own.

        Raises
        ------
        KubernetesFailed
            kubectl does not get through.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"command": command, "target": target, "port": port, "alone": alone}
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "{}")
        except (BrokenPipeError, ValueError):
            answer = {}
        if "port" not in answer:
            why = answer.get("error", "the tunnel process ended")
            raise KubernetesFailed(
                f"no tunnel to {target}: {why}: `qd deploy status` says how its part is"
            )
        return int(answer["port"])

    def close(self) -> None:
        """End all tunnels."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)


@dataclass(frozen=True)
class Reached:
    """A deployment, as commands on this machine use it.

    Parameters
    ----------
    deployment : Deployment
        Where it is.
    """

    deployment: Deployment

    @functools.cached_property
    def _kubectl(self) -> Kubectl:
        return Kubectl(program(), self.deployment.context, self.deployment.namespace)

    @functools.cached_property
    def _tunnels(self) -> Tunnels:
        return Tunnels()

    @functools.cached_property
    def _workloads(self) -> tuple[Workload, Workload]:
        found = self._get("deployments,configmaps", f"--selector={SELECTOR}")
        return require(workloads(found["items"]), self.deployment)

    def _get(self, *arguments: str) -> Json:
        """What kubectl tells, asked without an event loop: commands ask before they have one."""
        limit = f"--request-timeout={REQUEST_SECONDS}s"
        command = self._kubectl.command("get", *arguments, "--output=json", limit)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
            )
        except subprocess.TimeoutExpired:
            raise KubernetesUnreachable(
                f"the cluster of context {self.deployment.context} does not answer"
            ) from None
        if done.returncode:
            raise explain(done.stderr, self._kubectl.place)
        found: Json = json.loads(done.stdout)
        return found

    @functools.cache  # noqa: B019
    def _secret(self, name: str) -> Json:
        return self._get("secret", name)

    def _text_of(self, file: SecretFile) -> str:
        return secret_text(self._secret(file.secret), file.key)

    @functools.cache  # noqa: B019
    def _file(self, file: SecretFile) -> str:
        """The path of a file in memory with what a Secret holds."""
        handle = os.memfd_create(file.secret, 0)  # also for what takes this process's place
        os.fchmod(handle, 0o600)
        os.write(handle, (self._text_of(file) + "\n").encode())
        return f"/proc/self/fd/{handle}"

    def _way_to(self, address: str, *, alone: bool = False) -> str:
        """Where an address inside the cluster is reached: through a tunnel, or where it is."""
        host, port = split(address)
        service = service_of(host, self.deployment.namespace) or self._looked_up(host)
        return address if service is None else f"{_LOCAL}:{self._tunnel(service, port, alone)}"

    def _looked_up(self, host: str) -> Service | None:
        """A Service that is named as hosts elsewhere are, too."""
        found = perhaps_service(host)
        if found is None:
            return None
        there = self._get(
            "service", found.name, f"--namespace={found.namespace}", "--ignore-not-found"
        )
        return found if there else None

    @functools.cache  # noqa: B019
    def _tunnel(self, service: Service, port: int, alone: bool) -> int:
        kubectl = Kubectl(self._kubectl.executable, self.deployment.context, service.namespace)
        command = kubectl.command()
        return self._tunnels.open(command, f"service/{service.name}", port, alone=alone)

    @functools.cached_property
    def cluster(self) -> FluvioSettings:
        """The brokers, by their names in the cluster, and the way to each."""
        from qd_schemas.specs import FLUVIO_TLS_NAMES, ClientKind, FluvioSettings

        if os.environ.get("QD_FLUVIO_CLIENT", "").strip().lower() == ClientKind.OFFICIAL.value:
            raise RequestRefused(
                "QD_FLUVIO_CLIENT is official, but Fluvio's own client finds no way to brokers "
                "inside a Kubernetes cluster: unset it, or use `qd shell`"
            )
        _, analytics = self._workloads
        base = FluvioSettings.from_env(
            {
                "QD_FLUVIO": analytics.settings.get("QD_FLUVIO", ""),
                "QD_FLUVIO_CLIENT": ClientKind.NATIVE.value,
                "QD_FLUVIO_SPU_ADDRESS": analytics.settings.get("QD_FLUVIO_SPU_ADDRESS", ""),
            }
        )
        tls = self._tls(analytics, FLUVIO_TLS_NAMES)
        return self._with_ways(replace(base, tls=tls))

    def _with_ways(self, base: FluvioSettings) -> FluvioSettings:
        from qd_fluvio.control import ControlPlane

        first = (base.endpoint, self._way_to(base.endpoint))
        reached = replace(base, addresses=(first,))

        async def ask() -> list[str]:
            async with asyncio.timeout(_SPUS_SECONDS):
                return [spu.host_port for spu in await ControlPlane(reached).spus()]

        try:
            spus = asyncio.run(ask())
        except TimeoutError:
            raise KubernetesFailed(
                f"the brokers at {base.endpoint} do not answer: `qd deploy status` says how "
                "they are"
            ) from None
        ways = [first, *((address, self._way_to(address)) for address in dict.fromkeys(spus))]
        return replace(reached, addresses=tuple(ways))

    def _tls(self, workload: Workload, names: tuple[str, str, str, str]) -> TlsSettings | None:
        from qd_schemas.specs import TlsSettings

        ca, domain, cert, key = (workload.settings.get(name, "") for name in names)
        if not ca:
            return None
        own = [self._file(file_of(path, workload)) if path else "" for path in (ca, cert, key)]
        return TlsSettings(own[0], domain, own[1], own[2])

    @functools.cached_property
    def symdb(self) -> tuple[str, Mapping[str, str]]:
        """Where the symbol master is reached, and the settings of TLS to it."""
        from qd_schemas.specs import SYMDB_TLS_NAMES

        _, analytics = self._workloads
        address = analytics.settings.get("QD_SYMDB", "")
        tls = self._tls(analytics, SYMDB_TLS_NAMES)
        if tls is None:
            return self._way_to(address), {}
        values = (tls.ca, tls.domain or split(address)[0], tls.cert, tls.key)
        return self._way_to(address), dict(zip(SYMDB_TLS_NAMES, values, strict=True))

    @functools.cache  # noqa: B019
    def database(self, role: str) -> str:
        """The database's DSN for one of its roles."""
        from psycopg import conninfo

        from qd_store.credentials import parsed

        gateway, _ = self._workloads
        found = parsed(self._text_of(SecretFile(f"{DATABASE}-{role}", "dsn")))
        for variable, name in _LIBPQ.items():
            if name not in found and variable in gateway.settings:
                found[name] = gateway.settings[variable]
        for name in _DSN_FILES:
            if found.get(name, "").startswith("/"):
                found[name] = self._file(file_of(found[name], gateway))
        host, port = found.get("host", ""), found.get("port", "5432")
        if host and "," not in host and not host.startswith("/"):
            # PostgreSQL resets connections at their end where they have TLS.
            way, local = split(self._way_to(f"{host}:{port}", alone=True))
            if way == _LOCAL:  # certificates are for the host all the same
                found |= {"hostaddr": _LOCAL, "port": str(local)}
        return conninfo.make_conninfo("", **found)


@functools.cache
def reached(deployment: Deployment) -> Reached:
    """A deployment, the same one each time within one command."""
    return Reached(deployment)
