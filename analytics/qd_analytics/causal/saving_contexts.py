"""Contexts to and from plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from qd_analytics.causal.context import Context, ContextName, IndexName, held
from qd_analytics.causal.contextoid import (
    Contextoid,
    ContextoidKind,
    Datoid,
    Relation,
    Root,
    Spaceoid,
    SpaceTempoid,
    Tempoid,
    TimeScale,
)
from qd_analytics.causal.errors import SavedModelError
from qd_analytics.causal.saved_values import entries, flag, key, number, text, whole


def context_to_data(context: Context) -> dict[str, Any]:
    """A context as plain data, all of one version."""
    with held():
        return {
            "name": context.name,
            "static": context.static,
            "nodes": [_node_to_data(node) for node in context],
            "relations": [[s, t, relation.value] for s, t, relation in context.relations],
            "index": [[index_to_data(name), node] for name, node in context.index.items()],
        }


def context_from_data(data: dict[str, Any]) -> Context:
    """A context from plain data."""
    context = Context(text(data["name"]))
    with context.changing():
        context.add(*(_node_from_data(entry) for entry in entries(data["nodes"])))
        for source, target, relation in entries(data["relations"]):
            context.relate(whole(source), whole(target), Relation(relation))
        for name, node in entries(data["index"]):
            index = index_from_data(name)
            if isinstance(index, int):
                raise SavedModelError(f"the index of context '{context.name}' has the name {index}")
            context.point(index, whole(node))
    return context.make_static() if flag(data["static"]) else context


def index_to_data(name: ContextName) -> Any:
    """A name of a node: an index name apart from a name of one's own."""
    return {"index": name.value} if isinstance(name, IndexName) else name


def index_from_data(data: Any) -> ContextName:
    """A name of a node from plain data."""
    if isinstance(data, dict):
        return IndexName(data["index"])
    return key(data)


def _node_to_data(node: Contextoid) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": node.kind.value, "id": node.id}
    if isinstance(node, Datoid):
        return data | {"data": dict(node.data)}
    if isinstance(node, Tempoid):
        return data | {"scale": node.scale.name, "time": node.time}
    if isinstance(node, Spaceoid):
        return data | {"at": [node.x, node.y, node.z]}
    if isinstance(node, SpaceTempoid):
        return data | {"at": [node.x, node.y, node.z, node.time]}
    return data


def _space_tempoid(id: int, x: Any, y: Any, z: Any, time: Any) -> SpaceTempoid:
    return SpaceTempoid(id, number(x), number(y), number(z), whole(time))


_MAKERS: Final[dict[ContextoidKind, Callable[[dict[str, Any]], Contextoid]]] = {
    ContextoidKind.ROOT: lambda data: Root(whole(data["id"])),
    ContextoidKind.DATOID: lambda data: Datoid(
        whole(data["id"]), {name: number(value) for name, value in data["data"].items()}
    ),
    ContextoidKind.TEMPOID: lambda data: Tempoid(
        whole(data["id"]), TimeScale[data["scale"]], whole(data["time"])
    ),
    ContextoidKind.SPACEOID: lambda data: Spaceoid(whole(data["id"]), *map(number, data["at"])),
    ContextoidKind.SPACE_TEMPOID: lambda data: _space_tempoid(whole(data["id"]), *data["at"]),
}


def _node_from_data(data: dict[str, Any]) -> Contextoid:
    return _MAKERS[ContextoidKind(data["kind"])](data)
