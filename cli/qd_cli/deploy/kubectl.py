"""Running kubectl: with a time limit, ended when its caller is, its errors in the user's words.

It knows no manifest and decides nothing. Nothing secret goes by an argument: what is applied goes
by standard input.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qd_cli.deploy.children import end
from qd_cli.deploy.contexts import Chosen, choose_context
from qd_cli.deploy.names import FIELD_MANAGER
from qd_cli.deploy.refusals import Place, explain
from qd_cli.errors import KubernetesFailed, KubernetesUnusable

SECONDS_MAX: Final = 60.0
"""For one call, unless its caller knows better."""
REQUEST_SECONDS: Final = 30
"""How long kubectl waits for one answer of the cluster."""
_LINE_BYTES_MAX: Final = 1024 * 1024

Json = Mapping[str, Any]


def program() -> str:
    """The kubectl to use: that of PATH, else the one beside this Python.

    Raises
    ------
    KubernetesUnusable
        There is none.
    """
    found = shutil.which("kubectl") or shutil.which(
        "kubectl", path=str(Path(sys.executable).parent)
    )
    if found is None:
        raise KubernetesUnusable(
            "kubectl is not in PATH: install it (https://kubernetes.io/docs/tasks/tools, or your "
            "system's package `kubectl`), then make or choose a cluster"
        )
    return found


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Calls to one cluster, in one namespace.

    Parameters
    ----------
    executable : str
        The program.
    context : str
        Of the kubeconfig.
    namespace : str
        Where everything is.
    """

    executable: str
    context: str
    namespace: str

    @property
    def place(self) -> Place:
        """Whom it asks."""
        return Place(self.context, self.namespace)

    def command(self, *arguments: str) -> list[str]:
        """A whole command line."""
        return [
            self.executable,
            f"--context={self.context}",
            f"--namespace={self.namespace}",
            *arguments,
        ]

    async def run(
        self,
        *arguments: str,
        stdin: str | None = None,
        seconds: float = SECONDS_MAX,
        hidden: Sequence[str] = (),
    ) -> str:
        """Run kubectl to its end; what it printed.

        Parameters
        ----------
        stdin : str, optional
            What it reads.
        seconds : float
            It is ended after so long.
        hidden : sequence of str
            Secrets that no error may repeat.

        Raises
        ------
        KubernetesFailed, KubernetesUnusable
            It refuses; the message says why, and what to do.
        """
        command = self.command(f"--request-timeout={REQUEST_SECONDS}s", *arguments)
        done = await capture(command, stdin=stdin, seconds=seconds)
        if done.code:
            raise explain(done.stderr, self.place, hidden)
        return done.stdout

    async def get(self, *arguments: str, seconds: float = SECONDS_MAX) -> Json:
        """What `kubectl get` tells, as JSON; an empty list where there is nothing."""
        text = await self.run(
            "get", *arguments, "--output=json", "--ignore-not-found", seconds=seconds
        )
        found: Json = json.loads(text) if text.strip() else {"items": []}
        return found

    async def apply(self, objects: Sequence[Json], *, force: bool = False) -> None:
        """Make objects as they are given, those that are there and those that are not."""
        if not objects:
            return
        arguments = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--filename=-")
        forced = ("--force-conflicts",) if force else ()
        await self.run("apply", *arguments, *forced, stdin=as_list(objects), seconds=300.0)


def as_list(objects: Sequence[Json]) -> str:
    """Objects as one document for kubectl's standard input."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


@dataclass(frozen=True, slots=True)
class Done:
    """How a program ended."""

    code: int
    stdout: str
    stderr: str


async def capture(
    command: Sequence[str], *, stdin: str | None = None, seconds: float = SECONDS_MAX
) -> Done:
    """Run a program to its end; it is killed when it takes too long, or when this is cancelled.

    Raises
    ------
    KubernetesFailed
        It took too long.
    """
    process = await _start(command, stdin=stdin is not None)
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(None if stdin is None else stdin.encode())
    except TimeoutError:
        what = " ".join([Path(command[0]).name, *_shown(command[1:])])
        raise KubernetesFailed(
            f"`{what}` took more than {seconds:.0f} s and was ended: try again, or look whether "
            "the cluster is well with `kubectl get nodes`"
        ) from None
    finally:
        await end(process)
    return Done(process.returncode or 0, _text(out), _text(err))


def _shown(arguments: Sequence[str]) -> list[str]:
    """The words that say what was asked; the others are the same each time."""
    return [word for word in arguments if not word.startswith("-")][:3]


async def _start(command: Sequence[str], *, stdin: bool) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        limit=_LINE_BYTES_MAX,
        env={**os.environ, "LC_ALL": "C"},
    )


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


async def open_kubectl(context: str | None, namespace: str) -> tuple[Kubectl, Chosen]:
    """kubectl for a context of the user's kubeconfig, by default the current one.

    Raises
    ------
    KubernetesUnusable
        There is no kubectl, or no such context.
    """
    executable = program()
    done = await capture([executable, "config", "view", "--output=json"])
    if done.code:
        raise KubernetesUnusable(
            f"kubectl cannot read its configuration: {done.stderr.strip()}: mend the file that "
            "KUBECONFIG names, or ~/.kube/config"
        )
    chosen = choose_context(json.loads(done.stdout), context)
    return Kubectl(executable, chosen.name, namespace), chosen
