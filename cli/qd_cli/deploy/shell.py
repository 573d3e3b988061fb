"""``qd shell``: its pod, and kubectl's way into it."""

from __future__ import annotations

import contextlib
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from qd_cli.deploy.kubectl import Kubectl, as_list
from qd_cli.deploy.names import ANALYTICS, GATEWAY, SELECTOR
from qd_cli.deploy.pods import deployments, shell_pod
from qd_cli.deploy.waiting import failure_of_pod
from qd_cli.errors import CliError, Interrupted, RequestRefused

_START_SECONDS: Final = 120
_SHELL: Final = ("sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


async def open_pod(kubectl: Kubectl) -> str:
    """Make the pod and wait until it runs; its name.

    Raises
    ------
    RequestRefused
        Nothing is deployed.
    DeploymentFailed
        The pod does not start.
    """
    found = await kubectl.get("deployments", f"--selector={SELECTOR}")
    there = deployments(found["items"])
    if GATEWAY not in there or ANALYTICS not in there:
        raise RequestRefused(
            f"nothing is deployed in namespace {kubectl.namespace} of context {kubectl.context}: "
            "`qd deploy` does it"
        )
    name = f"qd-shell-{secrets.token_hex(3)}"
    pod = shell_pod(name, there[GATEWAY], there[ANALYTICS])
    await kubectl.run("create", "--filename=-", stdin=as_list([pod]))
    try:
        await kubectl.run(
            "wait",
            f"pod/{name}",
            "--for=condition=Ready",
            f"--timeout={_START_SECONDS}s",
            seconds=_START_SECONDS + 30.0,
        )
    except CliError as error:
        failed = await failure_of_pod(kubectl, name)
        await remove_pod(kubectl, name)
        raise failed or error from None
    except BaseException:
        await remove_pod(kubectl, name)
        raise
    return name


async def remove_pod(kubectl: Kubectl, name: str) -> None:
    """Remove the pod; nobody waits for it."""
    await kubectl.run("delete", "pod", name, "--ignore-not-found", "--wait=false")


def attach(kubectl: Kubectl, name: str, command: Sequence[str]) -> int:
    """Run a command in the pod, on this terminal if there is one; its exit code."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    flags = ("--stdin", "--tty") if is_terminal else ("--stdin",)
    arguments = kubectl.command("exec", name, *flags, "--", *(command or _SHELL))
    with _left_to_the_command():
        return subprocess.run(arguments, check=False).returncode


@contextlib.contextmanager
def _left_to_the_command() -> Iterator[None]:
    """Ctrl-C is for what runs in the pod, which decides what it means; other ends are ours."""

    def end(number: int, _: object) -> None:
        raise Interrupted(number)

    # A handler, and not that it is ignored: that would hold for kubectl, too.
    handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
