"""Who may connect to whom by network policies: their rules, applied to pods. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from support.manifests import Json, is_selected

NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Peer:
    """A pod, or something like it: a namespace, its labels, and its ports by their names."""

    name: str
    labels: Mapping[str, str]
    ports: Mapping[str, int]
    namespace: str = "qd"


def may_connect(
    policies: Sequence[Json], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Whether both ends' policies let a connection through; namespaces without any let all."""
    return may_leave(policies, source, target, port, protocol) and may_enter(
        policies, source, target, port, protocol
    )


def may_leave(
    policies: Sequence[Json], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the policies of who connects let a connection through."""
    return _lets(policies, "Egress", source, target, target, port, protocol)


def may_enter(
    policies: Sequence[Json], source: Peer, target: Peer, port: int, protocol: str = "TCP"
) -> bool:
    """Whether the policies of who listens let a connection through."""
    return _lets(policies, "Ingress", target, source, target, port, protocol)


def _lets(
    policies: Sequence[Json],
    way: str,
    own: Peer,
    other: Peer,
    listening: Peer,
    port: int,
    protocol: str,
) -> bool:
    chosen = [
        each["spec"]
        for each in policies
        if each["metadata"].get("namespace") == own.namespace
        and way in each["spec"]["policyTypes"]
        and is_selected(each["spec"]["podSelector"], own.labels)
    ]
    if not chosen:
        return True
    key, peers = ("egress", "to") if way == "Egress" else ("ingress", "from")
    return any(
        _has_peer(rule[peers], own, other) and _has_port(rule["ports"], listening, port, protocol)
        for spec in chosen
        for rule in spec.get(key, ())
    )


def _has_peer(peers: Sequence[Json], own: Peer, other: Peer) -> bool:
    return any(_is_peer(peer, own, other) for peer in peers)


def _is_peer(peer: Json, own: Peer, other: Peer) -> bool:
    if "ipBlock" in peer:  # what is meant by it is outside the cluster
        return bool(other.namespace == peer["ipBlock"]["cidr"])
    if "namespaceSelector" in peer:
        if not is_selected(peer["namespaceSelector"], {NAMESPACE_LABEL: other.namespace}):
            return False
    elif own.namespace != other.namespace:
        return False
    return is_selected(peer.get("podSelector", {}), other.labels)


def _has_port(ports: Sequence[Any], listening: Peer, port: int, protocol: str) -> bool:
    """Whether rules name a port; by its name, that of the pod that listens."""
    return any(
        each["protocol"] == protocol and listening.ports.get(each["port"], each["port"]) == port
        for each in ports
    )
