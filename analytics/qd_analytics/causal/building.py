"""Building causaloids from plain functions, and graphs from a line of text.

::

    @rule
    def hot(temperature):
        "the engine is hot"
        return temperature > 90.0

    engine = build("engine", "hot -> thin; thin -> stop | warn", [hot, thin, stop, warn])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

from qd_analytics.causal.causaloid import Causaloid, Singleton
from qd_analytics.causal.checks import check
from qd_analytics.causal.context import Context
from qd_analytics.causal.effects import EffectKind
from qd_analytics.causal.errors import DuplicateNode, ModelError, UnknownNode, UnreachableNode
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import FromCauses, FromContext, Input, Key, Logic
from qd_analytics.causal.registry import REGISTRY, Registry
from qd_analytics.causal.text import parsed

Function = Callable[..., Any]
Decorator = Callable[[Function], Singleton]


@overload
def rule(function: Function) -> Singleton: ...
@overload
def rule(
    *,
    id: Key | None = None,
    description: str | None = None,
    elementwise: bool = True,
    name: str | None = None,
    version: int = 1,
    registry: Registry = REGISTRY,
) -> Decorator: ...
def rule(function: Function | None = None, **options: Any) -> Singleton | Decorator:
    """Make a function a causaloid that says true or false.

    Its parameters are what it reads: each a name in the data, unless its default is a
    `FromContext`, `FromCauses` or another name. Its id is its name, its description the
    docstring's first line.

    Parameters
    ----------
    id, description
        Instead of those.
    elementwise : bool
        False for a function that takes only single numbers.
    name, version
        Register the function, so that what uses it can be saved.
    """
    return _decorated(function, EffectKind.TRUTH, options)


@overload
def number(function: Function) -> Singleton: ...
@overload
def number(
    *,
    id: Key | None = None,
    description: str | None = None,
    elementwise: bool = True,
    threshold: float | None = None,
    name: str | None = None,
    version: int = 1,
    registry: Registry = REGISTRY,
) -> Decorator: ...
def number(function: Function | None = None, **options: Any) -> Singleton | Decorator:
    """Make a function a causaloid whose effect is a number; options as of `rule`.

    Parameters
    ----------
    threshold : float, optional
        It is true where the number exceeds this; without it, always.
    """
    return _decorated(function, EffectKind.NUMBER, options)


@overload
def probability(function: Function) -> Singleton: ...
@overload
def probability(
    *,
    id: Key | None = None,
    description: str | None = None,
    elementwise: bool = True,
    threshold: float | None = None,
    name: str | None = None,
    version: int = 1,
    registry: Registry = REGISTRY,
) -> Decorator: ...
def probability(function: Function | None = None, **options: Any) -> Singleton | Decorator:
    """Make a function a causaloid whose effect is a probability; options as of `number`."""
    return _decorated(function, EffectKind.PROBABILITY, options)


def _decorated(
    function: Function | None, kind: EffectKind, options: Mapping[str, Any]
) -> Singleton | Decorator:
    def make(function: Function) -> Singleton:
        return _singleton(function, kind, **options)

    return make if function is None else make(function)


def _singleton(
    function: Function,
    kind: EffectKind,
    *,
    id: Key | None = None,
    description: str | None = None,
    elementwise: bool = True,
    threshold: float | None = None,
    name: str | None = None,
    version: int = 1,
    registry: Registry = REGISTRY,
) -> Singleton:
    if name is not None:
        registry.register(function, name, version)
    first_line = (inspect.getdoc(function) or "").partition("\n")[0]
    return Singleton(
        function.__name__ if id is None else id,
        function,
        _inputs_of(function),
        first_line if description is None else description,
        elementwise=elementwise,
        effect=kind,
        threshold=threshold,
    )


def _inputs_of(function: Function) -> list[Input | FromCauses]:
    inputs: list[Input | FromCauses] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise ModelError(
                f"the rule '{function.__name__}' has the parameter '{parameter}'; "
                "expected plain parameters, each named as what it reads"
            )
        default = parameter.default
        if default is parameter.empty:
            inputs.append(parameter.name)
        elif isinstance(default, (FromContext, FromCauses, str, int)):
            inputs.append(default)
        else:
            raise ModelError(
                f"the parameter '{parameter.name}' of the rule '{function.__name__}' has the "
                f"default {default!r}; expected FromContext, FromCauses or a name in the data"
            )
    return inputs


def build(
    id: Key,
    text: str,
    causaloids: Iterable[Causaloid],
    description: str = "",
    *,
    joins: Mapping[Key, Logic] | None = None,
    roots: Sequence[Key] | None = None,
    data: Iterable[Key] | None = None,
    contexts: Sequence[Context] | None = None,
) -> Graph:
    """Build a graph from a text and check it.

    Parameters
    ----------
    text : str
        Such as ``a -> b; b -> c | d``: see `qd_analytics.causal.text`.
    causaloids : iterable of Causaloid
        The nodes; each is in the text.
    joins : mapping, optional
        The nodes that any of their causes opens: ``{"d": Logic.ANY}``.
    roots, data, contexts
        What to check besides: see `check`.

    Raises
    ------
    ModelError
        `UnknownNode`, `UnreachableNode`, `CycleError`, `MissingData`: the message names the
        nodes.
    """
    nodes: dict[Key, Causaloid] = {}
    for causaloid in causaloids:
        if nodes.setdefault(causaloid.id, causaloid) is not causaloid:
            raise DuplicateNode(f"graph {id!r} is given two causaloids {causaloid.id!r}")
    wiring = parsed(text, nodes)
    _check_names(id, wiring.nodes, nodes)
    graph = Graph(id, description)
    ways = dict(joins or {})
    for key, causaloid in nodes.items():
        graph.add(causaloid, join=ways.pop(key, Logic.ALL))
    if ways:
        raise UnknownNode(f"graph {id!r}: joins name {sorted(map(repr, ways))}, which are no nodes")
    graph.connect_all(wiring.edges)
    check(graph, roots=roots, data=data, contexts=contexts)
    return graph


def _check_names(id: Key, named: Iterable[Key], nodes: Mapping[Key, Causaloid]) -> None:
    named = dict.fromkeys(named)
    unknown = [name for name in named if name not in nodes]
    if unknown:
        raise UnknownNode(
            f"the text of graph {id!r} names {', '.join(map(repr, unknown))}, "
            f"but the causaloids given are {', '.join(map(repr, nodes)) or 'none'}"
        )
    unnamed = [name for name in nodes if name not in named]
    if unnamed:
        raise UnreachableNode(
            f"the text of graph {id!r} does not name {', '.join(map(repr, unnamed))}; "
            "connect each causaloid, or write its name alone"
        )
