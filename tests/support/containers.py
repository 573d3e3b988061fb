"""Pods run as plain containers: each with the rights, limits and files that its manifest says.

It stands for what a kubelet does of it: names in the network, files of Secrets and ConfigMaps,
volumes, and a container that is started again after it died. Where a container engine answers, and
which images it has, is asked of it; nothing is pulled.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import random
import secrets
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.models.containers import Container as Running
from docker.types import EndpointConfig, IPAMConfig, IPAMPool
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from support.manifests import Container, Json, Pod, Rendered, quantity

# Whatever a test starts it removes itself; the helper that would do so is an image of its own.
testcontainers_config.ryuk_disabled = True

IMAGES: Final = {"qd": "QD_IMAGE", "timescale/timescaledb": "QD_TIMESCALE_IMAGE"}
"""By the name in the manifests, the variable that names what the engine has instead."""
SOCKET: Final = Path("/var/run/docker.sock")
READY_ATTEMPTS: Final = 240  # each takes a process in the container, or the API's round trip
SECOND_BYTES: Final = (200, 250)  # of private networks that nobody else is likely to have
FIRST_SERVICE: Final = 100  # the engine gives others their addresses from the first on
LINES: Final = 12  # of each log in an error
USERS: Final = ("owner", "importer", "gateway", "symdb")


def image_of(name: str) -> str:
    """What a manifest's image is called here."""
    return os.environ.get(IMAGES[name.partition(":")[0]]) or name


def missing(names: Sequence[str]) -> str:
    """What is missing to run these images of the manifests, for a person; empty where nothing."""
    if os.geteuid() != 0:
        return "the files of containers get their owners' ids, and that needs root"
    if not os.environ.get("DOCKER_HOST") and not SOCKET.exists():
        return f"there is no container engine at {SOCKET}; DOCKER_HOST names another"
    with warnings.catch_warnings():
        # A client that does not reach its engine leaves its socket to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return _missing(names)
        finally:
            gc.collect()


def _missing(names: Sequence[str]) -> str:
    name = ""
    try:
        with closing(docker.from_env()) as client:
            for name in names:
                client.images.get(image_of(name))
    except ImageNotFound:
        variable = IMAGES[name.partition(":")[0]]
        return f"the container engine has no image {image_of(name)}; {variable} names another"
    except DockerException as error:
        return f"no container engine answers ({error}); DOCKER_HOST names one"
    return ""


@contextmanager
def private_network() -> Iterator[tuple[Network, IPv4Network]]:
    """A network of the engine while the block runs, with addresses that it lets us choose."""
    numbers = f"10.{random.randrange(*SECOND_BYTES)}.{random.randrange(256)}.0/24"
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=numbers)])
    with Network(docker_network_kw={"ipam": ipam}) as network:
        yield network, IPv4Network(numbers)


def made_up_secrets() -> dict[str, dict[str, str]]:
    """The Secrets that the embedded overlay mounts, as `qd deploy` makes them."""
    passwords = {user: secrets.token_urlsafe(24) for user in USERS}
    found = {
        f"qd-database-{user}": {
            "password": password,
            "dsn": f"postgresql://qd_{user}:{password}@qd-database:5432/qd",
        }
        for user, password in passwords.items()
    }
    admin = secrets.token_urlsafe(24)
    dsn = f"postgresql://postgres:{admin}@qd-database:5432/qd"
    return found | {"qd-database-admin": {"password": admin, "dsn": dsn}}


@dataclass(frozen=True)
class Ended:
    """A container that ran to its end."""

    code: int
    out: str
    err: str


@dataclass
class Node:
    """Where pods run: one network of an engine, and a folder for their files."""

    folder: Path
    network: Network
    subnet: IPv4Network
    rendered: Rendered
    secrets: Mapping[str, Mapping[str, str]]
    running: dict[str, Running] = field(default_factory=dict)
    _serials: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, component: str) -> Running:
        """Start a component's pod; it need not be ready."""
        pod = self.rendered.pod(component)
        (container,) = pod.containers
        started = self._start(pod, container, container.spec["args"], is_service=True)
        self.running[component] = started
        return started

    def until_ready(self, component: str) -> None:
        """Wait until a component's own check says that it is ready."""
        (container,) = self.rendered.pod(component).containers
        probe = container.spec["readinessProbe"]
        command = probe["exec"]["command"] if "exec" in probe else ["qd", "health"]
        running = self.running[component]
        told = ""
        for _ in range(READY_ATTEMPTS):
            running.reload()
            assert running.status == "running", f"{component} ended: {logs(running)}"
            code, output = running.exec_run(command)
            if code == 0:
                return
            told = output.decode()
        raise AssertionError(f"{component} is not ready: {told}\n{logs(running)}")

    def kill(self, component: str) -> None:
        """Kill -9, as the kernel does where memory is short, and start it again as a kubelet."""
        self.running[component].kill("SIGKILL")
        self.running[component].wait()
        self.running[component].start()

    def job(self, rendered: Rendered, component: str, data: Path | None = None) -> list[Ended]:
        """Run a Job's containers one after the other, each to its end."""
        pod = rendered.pod(component)
        return [self.once(pod, each, each.spec["args"], data=data) for each in pod.containers]

    def once(
        self,
        pod: Pod,
        container: Container,
        command: Sequence[str],
        *,
        entrypoint: str | None = None,
        data: Path | None = None,
    ) -> Ended:
        """Run a container of a pod to its end, perhaps with another command."""
        started = self._start(pod, container, command, entrypoint=entrypoint, data=data)
        try:
            code = started.wait()["StatusCode"]
            out, err = (
                started.logs(stdout=not is_error, stderr=is_error) for is_error in (False, True)
            )
            return Ended(code, out.decode(), err.decode())
        finally:
            started.remove(force=True)

    def follow(
        self, pod: Pod, container: Container, command: Sequence[str]
    ) -> Generator[str, None, None]:
        """Run a container of a pod, and give its lines as they come; it ends with the iterator."""
        started = self._start(pod, container, command)
        rest = b""
        try:
            for piece in started.logs(stdout=True, stderr=False, stream=True, follow=True):
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode() for line in whole)
            assert not rest, "a container ends its last line"
            assert started.wait()["StatusCode"] == 0, f"{logs(started)}\n{self.told()}"
        finally:
            started.remove(force=True)

    def told(self) -> str:
        """The last lines of what runs, for an error."""
        lines = [(name, logs(each).splitlines()[-LINES:]) for name, each in self.running.items()]
        return "\n".join(f"--- {name}\n" + "\n".join(last) for name, last in lines)

    def close(self) -> None:
        """Remove all that still runs."""
        for running in self.running.values():
            with contextlib.suppress(NotFound):
                running.remove(force=True, v=True)

    def _start(
        self,
        pod: Pod,
        container: Container,
        command: Sequence[str],
        *,
        entrypoint: str | None = None,
        is_service: bool = False,
        data: Path | None = None,
    ) -> Running:
        made = DockerContainer(image_of(container.spec["image"]))
        made.with_command(list(command)).with_envs(**container.env)
        entry = {} if entrypoint is None else {"entrypoint": [entrypoint]}
        network = self._connection(pod if is_service else None)
        made.with_kwargs(**restrictions(pod, container), **network, **entry)
        for path, mount in container.mounts.items():
            volume = pod.volumes.get(mount["name"], {"claim": mount["name"]})
            if volume.get("emptyDir", {}).get("medium") == "Memory":
                size = int(quantity(volume["emptyDir"]["sizeLimit"]))
                made.tmpfs[path] = f"size={size},mode=0777"
            else:
                here = self._files(pod, volume, data)
                made.with_volume_mapping(here, path, "ro" if mount.get("readOnly") else "rw")
        return made.start().get_wrapped_container()

    def _files(self, pod: Pod, volume: Json, data: Path | None) -> Path:
        group = pod.spec["securityContext"]["fsGroup"]
        if secret := volume.get("secret"):
            here = self._folder(group)
            for item in secret["items"]:
                _write(here / item["path"], self.secrets[secret["secretName"]][item["key"]], group)
            return here
        if settings := volume.get("configMap"):
            here = self._folder(group)
            for name, text in self.rendered.get("ConfigMap", settings["name"])["data"].items():
                _write(here / name, text, group)
            return here
        if "persistentVolumeClaim" in volume:
            assert data is not None, "a Job's claim is what the test gives"
            return data
        if "claim" in volume:
            kept = self.folder / f"{pod.component}-{volume['claim']}"
            return kept if kept.exists() else self._folder(group, kept)
        return self._folder(group)

    def _folder(self, group: int, path: Path | None = None) -> Path:
        made = path or self.folder / f"volume-{next(self._serials)}"
        made.mkdir()
        os.chown(made, 0, group)
        made.chmod(0o2770)
        return made

    def _connection(self, pod: Pod | None) -> dict[str, Any]:
        """The network, the addresses of all Services, and a pod's own where one leads to it.

        They are fixed, as in a cluster: what dies is found again where it was. An engine's own
        names are not: some engines lose questions whenever a container comes or goes.
        """
        services = self.rendered.of("Service")
        addresses = {
            service["metadata"]["name"]: str(self.subnet[FIRST_SERVICE + place])
            for place, service in enumerate(services)
        }
        own = [
            addresses[service["metadata"]["name"]]
            for service in services
            if pod and service["spec"]["selector"].items() <= pod.labels.items()
        ]
        settings = {"ipv4_address": own[0]} if own else {}
        return {
            "network": self.network.name,
            "networking_config": {self.network.name: EndpointConfig("1.44", **settings)},
            "extra_hosts": addresses,
        }


def restrictions(pod: Pod, container: Container) -> dict[str, Any]:
    """What a manifest allows a container, in the engine's words."""
    of_pod, own = pod.spec["securityContext"], container.spec["securityContext"]
    limits = container.spec["resources"]["limits"]
    memory = int(quantity(limits["memory"]))
    assert own["allowPrivilegeEscalation"] is False
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}, "the engine's own default"
    return {
        "user": f"{of_pod['runAsUser']}:{of_pod['runAsGroup']}",
        "group_add": [of_pod["fsGroup"]],
        "read_only": own["readOnlyRootFilesystem"],
        "cap_drop": own["capabilities"]["drop"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": memory,
        "memswap_limit": memory,
        "nano_cpus": int(quantity(limits["cpu"]) * 1e9),
    }


def logs(running: Running) -> str:
    """All that a container wrote."""
    text: bytes = running.logs()
    return text.decode()


def _write(path: Path, text: str, group: int) -> None:
    path.write_text(text)
    os.chown(path, 0, group)
    path.chmod(0o440)
