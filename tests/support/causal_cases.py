"""The shapes and rules that the recorded causality cases speak of, built with the library."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from qd_analytics import Causaloid, Collection, Graph, Singleton

ORACLE = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "causality_cases.json").read_text()
)
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in ORACLE["cases"]}
REASONING = {
    id: case
    for id, case in CASES.items()
    if id.partition("_")[0] in {"single", "verify", "to", "coll", "g", "nest"}
}
EFFECTS = {id: case for id, case in CASES.items() if id.partition("_")[0] in {"agg", "h", "epp"}}
VALUES = {id: case for id, case in CASES.items() if id not in REASONING and id not in EFFECTS}
SHAPES: dict[str, dict[str, Any]] = ORACLE["shapes"]

DESCRIPTION = "tests whether data exceeds threshold of 0.55"


def reaches(limit: float = 0.55) -> Callable[[float], bool]:
    """The cases' rule: at or above a threshold, an error for negative numbers."""

    def rule(value: float) -> bool:
        if value < 0:
            raise ValueError("the observation is negative")
        return value >= limit

    return rule


def one(id: int = 1, limit: float = 0.55, reads: str | int = "x") -> Singleton:
    return Singleton(id, reaches(limit), (reads,), DESCRIPTION, elementwise=False)


def collection(size: int, **options: Any) -> Collection:
    """Members that read the inputs 0, 1, 2 and so on."""
    return Collection("members", [one(at, reads=at) for at in range(size)], **options)


def graph_of(
    nodes: int, edges: Iterable[Sequence[int]], make: Callable[[int], Causaloid] | None = None
) -> Graph:
    """A graph of numbered nodes, each reading the input of its own number."""
    graph = Graph("graph")
    make = make or (lambda at: one(at, reads=at))
    graph.add(*(make(at) for at in range(nodes)))
    for cause, effect in edges:
        graph.connect(cause, effect)
    return graph


def shaped(name: str) -> Graph:
    return graph_of(SHAPES[name]["nodes"], SHAPES[name]["edges"])


def every(graph: Graph, value: float = 0.99) -> dict[str | int, float]:
    """The same number for every node."""
    return {node.id: value for node in graph.nodes}


def numbers(values: Sequence[Any]) -> dict[str | int, float]:
    return {at: float(value) for at, value in enumerate(values)}


Check = Callable[[dict[str, Any]], None]


class Checks:
    """Checks by the ids of the cases that they cover."""

    def __init__(self) -> None:
        self.by_id: dict[str, Check] = {}

    def covers(self, *ids: str) -> Callable[[Check], Check]:
        """Register a check; a case has one."""

        def register(check: Check) -> Check:
            for id in ids:
                assert id not in self.by_id
                self.by_id[id] = check
            return check

        return register

    def assert_complete(self, cases: dict[str, dict[str, Any]]) -> None:
        """Each case is covered."""
        assert set(self.by_id) == set(cases)
