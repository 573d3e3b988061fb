"""Plans: a causaloid, however nested, laid out flat once, in the order of evaluation.

A plan knows structure only: it holds no data, no contexts and no results, and never
changes. Both ways to evaluate, one observation or arrays of them, follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qd_analytics.causal.errors import UnknownNode
from qd_analytics.causal.inputs import Input, Key, Logic, RuleFunction

Path = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule within a plan.

    Attributes
    ----------
    function : callable
        Of the inputs, to true or false.
    inputs : tuple of int
        Places in the plan's inputs.
    elementwise : bool
        Whether it also works on arrays.
    """

    function: RuleFunction
    inputs: tuple[int, ...]
    elementwise: bool


@dataclass(frozen=True, slots=True)
class Slot:
    """One node of the flat layout.

    Attributes
    ----------
    id, description
        The causaloid's own.
    path : tuple
        Ids from the outermost causaloid (left out) to this node; empty for the outermost.
    parent : int
        Slot of the causaloid around it, -1 for the outermost.
    causes : tuple of int
        Slots that must be true first.
    asked : bool
        False where the question leaves this node out.
    rule : Rule or None
        None for a composite.
    """

    id: Key
    description: str
    path: Path
    parent: int
    causes: tuple[int, ...]
    asked: bool
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Close:
    """A composite's state follows from its children's once these are known."""

    slot: int
    children: tuple[int, ...]
    logic: Logic
    count: int


Step = int | Close  # a slot to open (and, for a rule, to evaluate), or a composite to close


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The flat layout.

    Attributes
    ----------
    slots : tuple of Slot
        All nodes, the outermost first, each after its causes.
    steps : tuple
        What to do, in order.
    inputs : tuple
        What the rules read, each once.
    groups : tuple of tuples of int
        Slots whose rules are one function, so that one call does for all.
    inside : mapping
        For each composite the slots directly inside it, those left out by the question too.
    sinks : tuple of int
        The outermost graph's last effects.
    """

    slots: tuple[Slot, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    inputs: tuple[Input, ...]
    groups: tuple[tuple[int, ...], ...] = field(repr=False)
    inside: Mapping[int, tuple[int, ...]] = field(repr=False)
    sinks: tuple[int, ...]
    by_path: Mapping[Path, int] = field(repr=False)

    def slot_of(self, node: Key | Path) -> int:
        """The slot of a node, by its id or, for a nested one, by its path of ids."""
        path = node if isinstance(node, tuple) else (node,)
        if path not in self.by_path:
            raise UnknownNode(
                f"causaloid {self.slots[0].id!r} has no node {node!r}; "
                "a nested node is named by the tuple of ids that leads to it"
            )
        return self.by_path[path]

    @property
    def top(self) -> tuple[int, ...]:
        """The slots of the outermost causaloid's nodes; its own where it has none."""
        return self.inside.get(0) or (0,)
