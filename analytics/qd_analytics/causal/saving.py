"""Models to and from JSON: rules by the registered name of their function, and its version.

What is written is plain data; nothing in it is run. Contexts are in `saving_contexts`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from qd_analytics.causal.causaloid import Causaloid, Collection, Singleton
from qd_analytics.causal.comparison import Comparison, Sign
from qd_analytics.causal.effects import EffectKind
from qd_analytics.causal.errors import ModelError, SavedModelError
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromCauses, FromContext, Input, Key, Logic
from qd_analytics.causal.model import Model
from qd_analytics.causal.observation import Assumption
from qd_analytics.causal.registry import REGISTRY, Registry
from qd_analytics.causal.saved_values import entries, flag, key, number, text, whole
from qd_analytics.causal.saving_contexts import (
    context_from_data,
    context_to_data,
    index_from_data,
    index_to_data,
)

FORMAT: Final = "qd causal model"
FORMAT_VERSION: Final = 1

_DAMAGES: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)

Plain = dict[str, Any]


def save(model: Model, path: Path | str, registry: Registry = REGISTRY) -> None:
    """Write a model with its contexts to a JSON file.

    Raises
    ------
    UnknownFunction
        If a rule's function is not registered.
    """
    Path(path).write_text(json.dumps(model_to_data(model, registry), indent=1), encoding="utf-8")


def load(path: Path | str, registry: Registry = REGISTRY) -> Model:
    """Read a model from a JSON file.

    Raises
    ------
    SavedModelError
        If the file is no saved model, or of a later version.
    UnknownFunction
        If a function is not registered, or not in that version.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SavedModelError(f"{path} is no JSON: {error}") from None
    return model_from_data(data, registry)


def model_to_data(model: Model, registry: Registry = REGISTRY) -> Plain:
    """A model as plain data."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "id": model.id,
        "version": model.version,
        "author": model.author,
        "description": model.description,
        "causaloid": causaloid_to_data(model.causaloid, registry),
        "contexts": [context_to_data(context) for context in model.contexts],
        "assumptions": [
            {
                "id": assumption.id,
                "description": assumption.description,
                "check": _function_to_data(assumption.check, registry),
            }
            for assumption in model.assumptions
        ],
    }


def model_from_data(data: Any, registry: Registry = REGISTRY) -> Model:
    """A model from plain data; errors as of `load`."""
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise SavedModelError(f"this is no saved model: its format is not '{FORMAT}'")
    if data.get("format_version") != FORMAT_VERSION:
        raise SavedModelError(
            f"the model is saved in version {data.get('format_version')} of the format; "
            f"this program reads version {FORMAT_VERSION}"
        )
    try:
        return Model(
            whole(data["id"]),
            causaloid_from_data(data["causaloid"], registry),
            author=text(data["author"]),
            description=text(data["description"]),
            contexts=tuple(context_from_data(entry) for entry in entries(data["contexts"])),
            assumptions=tuple(
                _assumption(entry, registry) for entry in entries(data["assumptions"])
            ),
            version=whole(data["version"]),
        )
    except _DAMAGES as error:
        shown = f"{type(error).__name__}: {error}"
        raise SavedModelError(f"the saved model is damaged: {shown}") from error


def _assumption(data: Plain, registry: Registry) -> Assumption:
    check = _function_from_data(data["check"], registry)
    return Assumption(whole(data["id"]), text(data["description"]), check)


def causaloid_to_data(causaloid: Causaloid, registry: Registry = REGISTRY) -> Plain:
    """A causaloid, with all inside it, as plain data."""
    head: Plain = {"id": causaloid.id, "description": causaloid.description}
    if isinstance(causaloid, Singleton):
        return {"form": "rule"} | head | _rule_to_data(causaloid, registry)
    if isinstance(causaloid, Collection):
        return {"form": "collection"} | head | _collection_to_data(causaloid, registry)
    if isinstance(causaloid, Graph):
        return {"form": "graph"} | head | _graph_to_data(causaloid, registry)
    raise ModelError(f"{causaloid!r} cannot be saved: it is neither rule, collection nor graph")


def causaloid_from_data(data: Plain, registry: Registry = REGISTRY) -> Causaloid:
    """A causaloid from plain data."""
    form = data["form"]
    if form == "rule":
        return _rule_from_data(data, registry)
    if form == "collection":
        members = [causaloid_from_data(entry, registry) for entry in entries(data["members"])]
        return Collection(
            key(data["id"]),
            members,
            Logic(data["logic"]),
            text(data["description"]),
            count=None if data["count"] is None else whole(data["count"]),
            threshold=_threshold(data),
        )
    if form == "graph":
        return _graph_from_data(data, registry)
    raise SavedModelError(f"a causaloid has the form {form!r}; expected rule, collection or graph")


def _rule_to_data(rule: Singleton, registry: Registry) -> Plain:
    return {
        "function": _function_to_data(rule.rule, registry),
        "inputs": [_input_to_data(entry) for entry in rule.inputs],
        "elementwise": rule.elementwise,
        "effect": rule.effect.kind.value,
        "threshold": rule.effect.threshold,
    }


def _rule_from_data(data: Plain, registry: Registry) -> Singleton:
    return Singleton(
        key(data["id"]),
        _function_from_data(data["function"], registry),
        [_input_from_data(entry) for entry in entries(data["inputs"])],
        text(data["description"]),
        elementwise=flag(data["elementwise"]),
        effect=EffectKind(data["effect"]),
        threshold=_threshold(data),
    )


def _threshold(data: Plain) -> float | None:
    return None if data["threshold"] is None else number(data["threshold"])


def _collection_to_data(collection: Collection, registry: Registry) -> Plain:
    counted = collection.logic is Logic.AT_LEAST
    return {
        "logic": collection.logic.value,
        "count": collection.count if counted else None,
        "threshold": collection.threshold,
        "members": [causaloid_to_data(member, registry) for member in collection.members],
    }


def _graph_to_data(graph: Graph, registry: Registry) -> Plain:
    nodes = [causaloid_to_data(node, registry) for node in graph.nodes]
    joins = [
        [node.id, join.value]
        for node in graph.nodes
        if (join := graph.join(node.id)) is not Logic.ALL
    ]
    edges = [[cause, effect, graph.weight(cause, effect)] for cause, effect in graph.edges]
    return {"nodes": nodes, "joins": joins, "edges": edges}


def _graph_from_data(data: Plain, registry: Registry) -> Graph:
    graph = Graph(key(data["id"]), text(data["description"]))
    joins: Mapping[Key, Logic] = {node: Logic(join) for node, join in entries(data["joins"])}
    for entry in entries(data["nodes"]):
        node = causaloid_from_data(entry, registry)
        graph.add(node, join=joins.get(node.id, Logic.ALL))
    weights = {(cause, effect): number(weight) for cause, effect, weight in entries(data["edges"])}
    graph.connect_all(weights, weights.values())
    return graph


# Functions and inputs


def _function_to_data(function: Any, registry: Registry) -> Plain:
    if isinstance(function, Comparison):
        return {"compare": function.sign.value, "limit": function.limit}
    name, version = registry.name_of(function)
    return {"name": name, "version": version}


def _function_from_data(data: Plain, registry: Registry) -> Any:
    if "compare" in data:
        return Comparison(Sign(data["compare"]), number(data["limit"]))
    return registry.find(data["name"], data["version"])


def _input_to_data(entry: Input | FromCauses) -> Any:
    if isinstance(entry, FromCauses):
        return {"causes": entry.start}
    if isinstance(entry, FromContext):
        index = index_to_data(entry.index)
        return {"context": entry.context, "index": index, "field": entry.field}
    return entry


def _input_from_data(data: Any) -> Input | FromCauses:
    if not isinstance(data, dict):
        return key(data)
    if "causes" in data:
        return FromCauses(key(data["causes"]))
    context = None if data["context"] is None else text(data["context"])
    return FromContext(index_from_data(data["index"]), text(data["field"]), context)
