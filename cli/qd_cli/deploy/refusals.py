"""What kubectl complained about, in the user's words. Pure: from its text to an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from qd_cli.errors import CliError, KubernetesFailed, KubernetesUnreachable, KubernetesUnusable

_LINES_MAX: Final = 12
_UNREACHABLE: Final = re.compile(
    r"Unable to connect to the server: (?P<why>.*)|(?P<refused>The connection to the server .* was "
    r"refused)|(?P<time>context deadline exceeded|i/o timeout|TLS handshake timeout"
    r"|net/http: request canceled|ServiceUnavailable)"
)
_FORBIDDEN: Final = re.compile(
    r'\(Forbidden\).*?User "(?P<user>[^"]+)" cannot (?P<verb>\S+) resource "(?P<what>[^"]+)"'
    r'(?: in API group "(?P<group>[^"]*)")?(?: in the namespace "(?P<namespace>[^"]+)")?'
)
_CONFLICT: Final = re.compile(r'[Cc]onflicts? with "(?P<who>[^"]+)"')
_FIELDS: Final = re.compile(r"^- (\.\S+)|: (\.\S+)$", re.MULTILINE)
_NO_KIND: Final = re.compile(
    r'no matches for kind "(?P<kind>[^"]+)" in version "(?P<version>[^"]+)"'
)
_IMMUTABLE: Final = re.compile(
    r'(?P<kind>\w+)\S* "(?P<name>[^"]+)" is invalid:'
    r"[^\n]*(?:immutable|updates to statefulset spec for)"
)
_QUOTA: Final = re.compile(r"exceeded quota: (?P<what>.*)")
_WEBHOOK: Final = re.compile(r'admission webhook "(?P<who>[^"]+)" denied the request: (?P<why>.*)')


@dataclass(frozen=True, slots=True)
class Place:
    """Whom kubectl asked, and about which namespace."""

    context: str
    namespace: str


def explain(stderr: str, where: Place, hidden: Sequence[str] = ()) -> CliError:
    """The error that a complaint of kubectl amounts to.

    Parameters
    ----------
    stderr : str
        What it wrote.
    where : Place
        Whom it asked.
    hidden : sequence of str
        Texts that the error must not repeat.
    """
    text = stderr.strip()
    for secret in hidden:
        text = text.replace(secret, "…")
    for rule in _RULES:
        if found := rule(text, where):
            return found
    lines = text.splitlines() or ["it did not say why"]
    return KubernetesFailed("kubectl failed: " + "\n".join(lines[-_LINES_MAX:]))


def _unreachable(text: str, where: Place) -> CliError | None:
    found = _UNREACHABLE.search(text)
    if found is None:
        return None
    why = next(part for part in found.groups() if part)
    return KubernetesUnreachable(
        f"the cluster of context {where.context} does not answer ({why.strip()}): start it, or "
        "choose another with --context"
    )


def _unauthorized(text: str, where: Place) -> CliError | None:
    if "You must be logged in to the server" not in text and "(Unauthorized)" not in text:
        return None
    return KubernetesUnusable(
        f"the cluster of context {where.context} does not accept who you are: log in to it again, "
        "as its administrators say"
    )


def _forbidden(text: str, where: Place) -> CliError | None:
    found = list(_FORBIDDEN.finditer(text))
    if not found:
        return None
    first = found[0]
    scope = f"in namespace {first['namespace']}" if first["namespace"] else "in the whole cluster"
    needs = sorted({f"{each['verb']} {_resource(each)}" for each in found})
    return KubernetesFailed(
        f"{first['user']} may not {', '.join(needs)} {scope} (context {where.context}): ask "
        + (
            "the cluster's administrators for the role `admin` in that namespace"
            if first["namespace"]
            else "the cluster's administrators to do it, or for the right to"
        )
    )


def _resource(found: re.Match[str]) -> str:
    return f"{found['what']}.{found['group']}" if found["group"] else found["what"]


def _conflict(text: str, _: Place) -> CliError | None:
    found = {match["who"] for match in _CONFLICT.finditer(text)}
    if "Apply failed with" not in text or not found:
        return None
    fields = sorted({a or b for a, b in _FIELDS.findall(text)})
    return KubernetesFailed(
        f"{', '.join(sorted(found))} changed what the manifests say"
        + (f" ({', '.join(fields)})" if fields else "")
        + ": give --force to take it back, or put the change into an overlay of your own"
    )


def _no_kind(text: str, _: Place) -> CliError | None:
    found = _NO_KIND.search(text)
    if found is None:
        return None
    return KubernetesFailed(
        f"the cluster knows no {found['kind']} ({found['version']}): install what brings it (for "
        "monitoring the Prometheus Operator), or leave that component out of your overlay"
    )


def _immutable(text: str, where: Place) -> CliError | None:
    found = [f"{each['kind'].lower()} {each['name']}" for each in _IMMUTABLE.finditer(text)]
    if not found:
        return None
    kubectl = f"kubectl --context {where.context} --namespace {where.namespace}"
    commands = " && ".join(f"{kubectl} delete {each} --cascade=orphan" for each in found)
    return KubernetesFailed(
        f"what is deployed differs from the manifests in what Kubernetes cannot change "
        f"({', '.join(found)}; of a StatefulSet that is nearly all but its pods, also its volumes' "
        f"size): take that change back, or let it be made anew, pods and volumes stay: "
        f"`{commands}`, then `qd deploy` again"
    )


def _quota(text: str, _: Place) -> CliError | None:
    found = _QUOTA.search(text)
    if found is None:
        return None
    return KubernetesFailed(
        f"the namespace's quota is used up: {found['what']}: ask for more, or lower requests, "
        "limits or replicas in an overlay of your own"
    )


def _webhook(text: str, _: Place) -> CliError | None:
    found = _WEBHOOK.search(text)
    if found is None:
        return None
    return KubernetesFailed(
        f"a rule of the cluster refuses it ({found['who']}): {found['why']}: follow it in an "
        "overlay of your own, or ask the cluster's administrators"
    )


_RULES: Final[tuple[Callable[[str, Place], CliError | None], ...]] = (
    _unreachable,
    _unauthorized,
    _forbidden,
    _conflict,
    _no_kind,
    _immutable,
    _quota,
    _webhook,
)
