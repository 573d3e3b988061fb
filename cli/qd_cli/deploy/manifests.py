"""The manifests: where they are, what is put on top of them, and what comes out of them.

Kustomize itself is kubectl's; here is only what it is given and what it gave.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from qd_cli.deploy.choices import Changes
from qd_cli.deploy.kubectl import Json, capture, program
from qd_cli.deploy.names import IMAGE, NAMESPACE
from qd_cli.errors import KubernetesFailed, RequestRefused

FILES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
RENDER_SECONDS: Final = 60.0
_EXAMPLE: Final = re.compile(r"\b(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+|\b[\w.-]+\.example\b")


def manifests_folder() -> Path:
    """The folder ``k8s``: that of the checkout, or the one that is packaged.

    Raises
    ------
    RequestRefused
        There is neither.
    """
    here = Path(__file__).resolve()
    for folder in (here.parents[3] / "k8s", here.parents[1] / "k8s"):
        if (folder / "base").is_dir():
            return folder
    raise RequestRefused(
        "this installation of qd has no manifests: give --overlay the path of a folder with a "
        f"{FILES[0]}, or work in a checkout"
    )


def overlays() -> tuple[str, ...]:
    """The names of the overlays that come with qd."""
    folder = manifests_folder() / "overlays"
    return tuple(sorted(path.name for path in folder.iterdir() if _is_root(path)))


def _is_root(path: Path) -> bool:
    return any((path / name).is_file() for name in FILES)


def overlay_folder(name: str) -> Path:
    """The folder of an overlay: by its name, or by its path.

    Raises
    ------
    RequestRefused
        There is none.
    """
    if "/" not in name and name in (known := overlays()):
        return manifests_folder() / "overlays" / name
    path = Path(name).expanduser()
    if _is_root(path):
        return path.resolve()
    known = overlays()
    raise RequestRefused(
        f"no overlay is {name!r}: expected {', '.join(known)}, or the path of a folder with a "
        f"{FILES[0]}"
    )


@dataclass(frozen=True, slots=True)
class OnTop:
    """What is put on top of a folder of manifests.

    Attributes
    ----------
    namespace : str
        Where everything goes.
    image : str
        In the place of qd's own; empty leaves it.
    components : sequence of Path
        Components that are added.
    changes : Changes
        Replicas and settings.
    suffix : str
        What names end with.
    """

    namespace: str
    image: str = ""
    components: Sequence[Path] = ()
    changes: Changes = field(default_factory=Changes)
    suffix: str = ""


def kustomization(below: Path, here: Path, top: OnTop) -> dict[str, Any]:
    """The kustomization to be written into the folder `here`, over that of the folder `below`.

    Kustomize takes folders by relative paths alone.
    """

    def to(path: Path) -> str:
        return os.path.relpath(path.resolve(), here.resolve())

    found: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": top.namespace,
        "resources": [to(below)],
        "components": [to(path) for path in top.components],
        "nameSuffix": top.suffix,
        "images": [_image(top.image)] if top.image else [],
        "replicas": [
            {"name": f"qd-{part}", "count": count} for part, count in top.changes.replicas.items()
        ],
        "configMapGenerator": [
            {
                "name": f"qd-{part}",
                # Of what is to be merged with: the namespace above comes later.
                "namespace": NAMESPACE,
                "behavior": "merge",
                "literals": [f"{name}={value}" for name, value in values.items()],
            }
            for part, values in top.changes.settings.items()
        ],
    }
    return {key: value for key, value in found.items() if value}


def _image(reference: str) -> dict[str, str]:
    """What Kustomize calls an image: name, tag and digest apart."""
    name, at, digest = reference.partition("@")
    # A colon before the last slash is that of a registry's port.
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    found = {"name": IMAGE, "newName": f"{head}{slash}{last}"}
    if at:
        return found | {"digest": digest}
    return found | ({"newTag": tag} if colon else {"newTag": "latest"})


def _write(below: Path, here: Path, top: OnTop) -> None:
    (here / FILES[0]).write_text(json.dumps(kustomization(below, here, top), indent=1))


async def render(below: Path, top: OnTop) -> str:
    """The manifests of a folder with what is on top of them, as YAML.

    Raises
    ------
    KubernetesFailed
        Kustomize refuses them.
    """
    with tempfile.TemporaryDirectory(prefix="qd-deploy-") as folder:
        _write(below, Path(folder), top)
        done = await capture([program(), "kustomize", folder], seconds=RENDER_SECONDS)
    if done.code:
        raise KubernetesFailed(f"{below} cannot be rendered: {done.stderr.strip()}")
    return done.stdout


def examples_in(text: str) -> list[str]:
    """The addresses in rendered manifests that are nobody's, and that the user has to replace.

    RFC 5737 and RFC 6761 keep these for examples.
    """
    return sorted(set(_EXAMPLE.findall(text)))


def objects_of(text: str) -> list[Json]:
    """The objects of rendered manifests."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [found for found in yaml.load_all(text, Loader=loader) if found]
