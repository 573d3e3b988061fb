"""Checks of a finished causaloid, before data reach it; each error names the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Absent, Context
from qd_analytics.causal.errors import MissingData, NotAGraph, UnreachableNode
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromContext, Key
from qd_analytics.causal.plan import CAUSES, Plan, Slot

NAMED_MAX = 10  # nodes that one message names


def check(
    causaloid: Causaloid,
    *,
    roots: Sequence[Key] | None = None,
    data: Iterable[Key] | None = None,
    contexts: Sequence[Context] | None = None,
) -> None:
    """Check what was built; edges that close circles were refused when they were drawn.

    Parameters
    ----------
    roots : sequence, optional
        The nodes of a graph from which all others must follow.
    data : iterable, optional
        The names that the data will have.
    contexts : sequence of Context, optional
        The contexts that will be given. What a static one lacks is missing; a dynamic
        one may still get it.

    Raises
    ------
    UnreachableNode, MissingData, UnknownNode
    """
    plan = causaloid.plan()
    if roots is not None:
        if not isinstance(causaloid, Graph):
            raise NotAGraph(f"{causaloid!r} has no roots; it is not a graph")
        _check_reachable(causaloid, roots)
    if data is not None:
        _check_data(plan, frozenset(data))
    if contexts is not None:
        _check_contexts(plan, contexts)


def _check_reachable(graph: Graph, roots: Sequence[Key]) -> None:
    reached: set[Key] = set()
    for root in roots:
        reached.update(graph.below(root))
    missed = [node.id for node in graph.nodes if node.id not in reached]
    if missed:
        raise UnreachableNode(
            f"graph {graph.id!r}: {_names(missed)} cannot be reached from {_names(roots)}; "
            "connect them or name them as roots"
        )


def _check_data(plan: Plan, names: frozenset[Key]) -> None:
    missing: dict[object, list[Key]] = {}
    for slot in plan.slots:
        for place in _places(slot):
            source = plan.inputs[place]
            if not isinstance(source, FromContext) and source not in names:
                missing.setdefault(source, []).append(slot.id)
    if missing:
        wanted = "; ".join(f"{_names(nodes)} reads {source!r}" for source, nodes in missing.items())
        raise MissingData(f"{wanted}, but the data have {_names(sorted(names, key=str))}")


def _check_contexts(plan: Plan, contexts: Sequence[Context]) -> None:
    for slot in plan.slots:
        for place in _places(slot):
            source = plan.inputs[place]
            if not isinstance(source, FromContext):
                continue
            found = [c for c in contexts if source.context in (None, c.name)]
            if not found:
                raise MissingData(
                    f"node {slot.id!r} reads '{source}', but the contexts are "
                    f"{_names([context.name for context in contexts])}"
                )
            value = found[0].read(source.index, source.field)
            if found[0].static and isinstance(value, Absent):
                raise MissingData(
                    f"node {slot.id!r} reads '{source}', but {value.reason}, "
                    f"and context '{found[0].name}' is static"
                )


def _places(slot: Slot) -> list[int]:
    return [] if slot.rule is None else [place for place in slot.rule.inputs if place != CAUSES]


def _names(nodes: Sequence[object]) -> str:
    shown = ", ".join(map(repr, nodes[:NAMED_MAX])) or "nothing"
    return f"{shown} and {len(nodes) - NAMED_MAX} more" if len(nodes) > NAMED_MAX else shown
