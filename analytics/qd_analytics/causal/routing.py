"""Adaptive routing: a rule may hand over to another node, a bounded number of times.

Each round is an evaluation of its own, from the node that was handed over to; within a
round each node is evaluated at most once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from qd_analytics.causal import asking
from qd_analytics.causal.context import Context
from qd_analytics.causal.errors import RelayBudgetExhausted, UnknownNode
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.graph import Graph
from qd_analytics.causal.inputs import Data, Key
from qd_analytics.causal.reading import Reading, snapshot_of
from qd_analytics.causal.states import State

RELAYS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class RoutedEvaluation:
    """The rounds of a routed evaluation.

    Attributes
    ----------
    route : tuple
        The node from which each round started.
    rounds : tuple of Evaluation
    """

    route: tuple[Key, ...]
    rounds: tuple[Evaluation, ...]

    @property
    def last(self) -> Evaluation:
        """The round that handed over no further."""
        return self.rounds[-1]

    @property
    def state(self) -> State:
        """What the last round says."""
        return self.last.state

    @property
    def result(self) -> bool:
        """True or false, as `Evaluation.result` of the last round."""
        return self.last.result

    @property
    def value(self) -> bool | float:
        """The effect, as `Evaluation.value` of the last round."""
        return self.last.value

    def explain(self) -> str:
        """All rounds in words."""
        return "\n".join(
            f"from {start!r}:{record.explain()}"
            for start, record in zip(self.route, self.rounds, strict=True)
        )


def evaluate_routed(
    graph: Graph, start: Key, data: Data, *contexts: Context, relays_max: int = RELAYS_MAX
) -> RoutedEvaluation:
    """Evaluate from a node down, and on from wherever rules relay to.

    A rule relays by answering `RelayTo`; such rules are not elementwise. Where several of
    one round relay, the first in the order of evaluation counts.

    Parameters
    ----------
    relays_max : int
        How often rules may relay.

    Raises
    ------
    RelayBudgetExhausted
        If they relay more often.
    UnknownNode
        If a rule relays to a node that is not there.
    """
    given: dict[Any, Any] = {**_read_once(graph, data, contexts), **data}
    route: list[Key] = [start]
    rounds: list[Evaluation] = []
    while True:
        record = asking.one(graph.plan_from(route[-1]), given, contexts)
        rounds.append(record)
        relay = record.relay
        if relay is None:
            return RoutedEvaluation(tuple(route), tuple(rounds))
        if len(rounds) > relays_max:
            shown = " -> ".join(map(repr, route[-4:]))
            raise RelayBudgetExhausted(
                f"Relay budget exhausted: rules of graph {graph.id!r} relayed {len(rounds)} times, "
                f"at most {relays_max} are allowed; the last rounds began at {shown}"
            )
        if relay.target not in graph:
            raise UnknownNode(
                f"a rule of graph {graph.id!r} relayed to {relay.target!r}, which is no node of it"
            )
        route.append(relay.target)
        given.update(relay.data)


def _read_once(graph: Graph, data: Data, contexts: tuple[Context, ...]) -> Mapping[Any, Reading]:
    """What contexts give, read before the first round: all rounds see one version."""
    wanted = graph.plan().from_contexts
    overlay = {source: data[source] for source in wanted if source in data}
    snapshot = snapshot_of(wanted, contexts, overlay)
    return {source: snapshot[place] for source, place in wanted.items()}  # type: ignore[misc]
