"""Looking at a deployment until its parts are ready, or until it is clear that they will not be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from qd_cli.deploy.explaining import Problem
from qd_cli.deploy.kubectl import Kubectl
from qd_cli.deploy.log_lines import readable
from qd_cli.deploy.observing import (
    KINDS,
    SETTLED,
    Part,
    Seen,
    State,
    part_of,
    problems_of_pod,
    seen,
    stuck_pods,
)
from qd_cli.errors import CliError, DeploymentFailed, KubernetesFailed, KubernetesUnreachable

LOOK_SECONDS: Final = 1.0
_LOG_LINES: Final = 12
_NO_LOG: Final = "unable to retrieve container logs"  # said as if it were a line of the log
_LOST_SECONDS_MAX: Final = 30.0
"""How long the cluster may fail to answer while it is looked at."""
Show = Callable[[Sequence[Part]], None]


async def look(kubectl: Kubectl) -> Seen:
    """All objects of the namespace that tell how its parts are."""
    try:
        found = await kubectl.get(f"{KINDS},events")
    except KubernetesFailed:
        # Not everybody may read events; without them less can be explained.
        found = await kubectl.get(KINDS)
    return seen(found["items"])


@dataclass(slots=True)
class Patience:
    """How long each problem has been there."""

    since: dict[str, float] = field(default_factory=dict)

    def worn_out(self, problems: Sequence[Problem], now: float) -> list[Problem]:
        """The problems that had their time, and more."""
        self.since = {each.what: self.since.get(each.what, now) for each in problems}
        return [
            each
            for each in problems
            if each.patience_seconds is not None
            and now - self.since[each.what] >= each.patience_seconds
        ]


async def until_ready(
    kubectl: Kubectl,
    wanted: Sequence[tuple[str, str]],
    *,
    deadline: float,
    show: Show,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until workloads are ready, and Jobs complete.

    Parameters
    ----------
    wanted : sequence of (str, str)
        Kinds and names.
    deadline : float
        On `clock`.
    show : callable
        Is given the parts each time that they were looked at.

    Raises
    ------
    DeploymentFailed
        Some do not become ready.
    """
    patience, answered = Patience(), clock()
    parts: list[Part] = []
    while True:
        try:
            found = await look(kubectl)
        except KubernetesUnreachable:
            if clock() - answered > _LOST_SECONDS_MAX:
                raise
        else:
            answered = clock()
            await _mend(kubectl, found)
            parts = [part_of(found, kind, name) for kind, name in wanted]
            show(parts)
            if all(part.state in SETTLED for part in parts):
                return
            problems = [each for part in parts for each in part.problems]
            hopeless = patience.worn_out(problems, clock())
            if hopeless or any(part.state is State.FAILED for part in parts):
                raise await failure(kubectl, parts)
        if clock() >= deadline:
            raise await failure(kubectl, parts, timed_out=True)
        await asyncio.sleep(LOOK_SECONDS)


async def _mend(kubectl: Kubectl, found: Seen) -> None:
    for pod in stuck_pods(found):
        await kubectl.run("delete", "pod", pod, "--ignore-not-found", "--wait=false")


async def failure(
    kubectl: Kubectl, parts: Sequence[Part], *, timed_out: bool = False
) -> DeploymentFailed:
    """Say what is wrong with parts: which pod, why, its last lines, what to do."""
    late = [part for part in parts if part.state not in SETTLED]
    failed = [part for part in late if part.state is State.FAILED]
    names = ", ".join(part.name for part in failed or late)
    blocks = [f"{names} failed" if failed else f"{names} did not become ready"]
    if timed_out:
        blocks = [f"{blocks[0]} in time (--timeout gives more)"]
    for problem in causes_first(late):
        blocks.append(await described(kubectl, problem))
    for part in late:
        if not part.problems:
            blocks.append(f"{part.name}: {part.detail or 'nothing is known to be wrong with it'}")
    what = "`qd deploy status` shows all parts, `qd deploy logs PART` what one wrote"
    return DeploymentFailed("\n".join([*blocks, what]))


def causes_first(parts: Sequence[Part]) -> list[Problem]:
    """The problems of parts: what may follow from others comes last."""
    return sorted((each for part in parts for each in part.problems), key=lambda p: p.is_symptom)


async def failure_of_pod(kubectl: Kubectl, name: str) -> DeploymentFailed | None:
    """Say what is wrong with one pod; None where nothing is known to be."""
    found = await look(kubectl)
    problems = problems_of_pod(found, name)
    if not problems:
        return None
    blocks = [await described(kubectl, each) for each in problems]
    return DeploymentFailed("\n".join([f"pod {name} does not start", *blocks]))


async def described(kubectl: Kubectl, problem: Problem) -> str:
    """A problem in some lines, with the last ones that its container wrote."""
    lines = [f"- {problem.what}"]
    if problem.why:
        lines.append(f"  why: {problem.why}")
    if problem.pod:
        lines += [f"  | {line}" for line in await _last_lines(kubectl, problem)]
    lines.append(f"  what to do: {problem.todo}")
    return "\n".join(lines)


async def _last_lines(kubectl: Kubectl, problem: Problem) -> list[str]:
    chosen = (f"--container={problem.container}",) if problem.container else ()
    for before in (("--previous",), ()):
        try:
            text = await kubectl.run("logs", problem.pod, *chosen, f"--tail={_LOG_LINES}", *before)
        except CliError:
            continue
        if text.strip() and not text.startswith(_NO_LOG):
            return [readable(line) for line in text.splitlines()]
    return []
