"""Building the image, and how each kind of local cluster gets it.

What is to be run is decided by pure functions; `build_and_load` runs it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final

from qd_cli.deploy.contexts import Chosen, Kind
from qd_cli.deploy.kubectl import Done, capture
from qd_cli.deploy.manifests import manifests_folder
from qd_cli.deploy.names import BUILT_IMAGE
from qd_cli.errors import KubernetesFailed, KubernetesUnusable, RequestRefused

BUILD_SECONDS: Final = 1_800.0
LOAD_SECONDS: Final = 600.0
_ID_DIGITS: Final = 12
_ENGINES: Final = ("docker", "podman")
_ERROR_LINES: Final = 15


def containerfile() -> Path:
    """What the image is built from.

    Raises
    ------
    RequestRefused
        This is no checkout.
    """
    found = manifests_folder() / "image" / "Containerfile"
    if not found.is_file() or not (found.parents[2] / "pyproject.toml").is_file():
        raise RequestRefused(
            "the image is built from a checkout of qd, which this is not: give --image REF"
        )
    return found


def engine(kind: Kind, which: Callable[[str], str | None] = shutil.which) -> str:
    """The container engine to build with.

    Raises
    ------
    KubernetesUnusable
        There is none that this cluster can take an image from.
    """
    wanted = ("docker",) if kind is Kind.DESKTOP else _ENGINES
    for name in wanted:
        if which(name):
            return name
    raise KubernetesUnusable(
        f"the image is built with {' or '.join(wanted)}, which is not in PATH: install it, or give "
        "--image REF of an image that the cluster can pull"
    )


def build_command(program: str, file: Path, tag: str) -> list[str]:
    """How the image is built."""
    return [program, "build", "--file", str(file), "--tag", tag, str(file.parents[2])]


def built_name(image_id: str) -> str:
    """What a built image is called: another one for each content, so that pods take the new one."""
    digits = image_id.strip().removeprefix("sha256:")[:_ID_DIGITS]
    return f"{BUILT_IMAGE}:{metadata.version('qd')}-{digits}"


def load_command(chosen: Chosen, archive: str) -> list[str] | None:
    """How a cluster takes an image from an archive; None where it sees the engine's own images.

    Raises
    ------
    RequestRefused
        It takes images from registries alone.
    """
    match chosen.kind:
        case Kind.KIND:
            return ["kind", "load", "image-archive", archive, "--name", chosen.cluster]
        case Kind.K3D:
            return ["k3d", "image", "import", archive, "--cluster", chosen.cluster]
        case Kind.MINIKUBE:
            return ["minikube", "image", "load", archive, "--profile", chosen.cluster]
        case Kind.DESKTOP:
            return None
    raise RequestRefused(
        f"the cluster of context {chosen.name} takes images from a registry alone: build it "
        "(docker build -f k8s/image/Containerfile .), push it there, and give --image REF"
    )


async def build_and_load(chosen: Chosen, say: Callable[[str], None]) -> str:
    """Build the image and hand it to the cluster; its name."""
    load = load_command(chosen, "")  # before anything is built for nothing
    if load and not shutil.which(load[0]):
        raise KubernetesUnusable(
            f"{load[0]} is not in PATH, and hands the image to the cluster of context "
            f"{chosen.name}: install it, or give --image REF of an image that the cluster can pull"
        )
    program, file = engine(chosen.kind), containerfile()
    say(f"building the image with {program}")
    passing = f"{BUILT_IMAGE}:building"
    await _run(build_command(program, file, passing), BUILD_SECONDS, "the image cannot be built")
    inspect = [program, "image", "inspect", "--format", "{{.Id}}", passing]
    found = await _run(inspect, LOAD_SECONDS, "the image cannot be looked at")
    name = built_name(found.stdout)
    await _run([program, "tag", passing, name], LOAD_SECONDS, "the image cannot be tagged")
    if load:
        say(f"handing {name} to the cluster with {load[0]}")
        await _load(program, name, chosen)
    return name


async def _load(program: str, name: str, chosen: Chosen) -> None:
    with tempfile.TemporaryDirectory(prefix="qd-image-") as folder:
        archive = f"{folder}/image.tar"
        await _run([program, "save", "--output", archive, name], LOAD_SECONDS, "it cannot be saved")
        command = load_command(chosen, archive)
        assert command is not None
        await _run(command, LOAD_SECONDS, "the cluster does not take the image")


async def _run(command: list[str], seconds: float, wrong: str) -> Done:
    done = await capture(command, seconds=seconds)
    if done.code:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_ERROR_LINES:]
        raise KubernetesFailed(f"{wrong}:\n" + "\n".join(lines))
    return done
