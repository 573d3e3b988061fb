"""Plans: a causaloid, however nested, laid out flat once, in the order of evaluation.

A plan knows structure only: it holds no data, no contexts and no results, and never
changes. Both ways to evaluate, one observation or arrays of them, follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from qd_analytics.causal.effects import TRUTH, Effect
from qd_analytics.causal.errors import UnknownNode
from qd_analytics.causal.inputs import FromContext, Input, Key, Logic, RuleFunction
from qd_analytics.causal.sweep import Group, Sweep

Path = tuple[Key, ...]

CAUSES: Final = -1
"""In place of a place in the inputs: what the causes say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule within a plan.

    Attributes
    ----------
    function : callable
        Of the inputs, to the effect.
    inputs : tuple of int
        Places in the plan's inputs, or `CAUSES`.
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
        Slots that open this one.
    asked : bool
        False where the question leaves this node out.
    rule : Rule or None
        None for a composite.
    join : Logic
        Whether all causes must be true, or any.
    effect : Effect
        What it says.
    late : bool
        Whether its rule can run only when it is reached: it reads causes, or is a value.
    """

    id: Key
    description: str
    path: Path
    parent: int
    causes: tuple[int, ...]
    asked: bool
    rule: Rule | None
    join: Logic = Logic.ALL
    effect: Effect = TRUTH
    late: bool = False


@dataclass(frozen=True, slots=True)
class Close:
    """A composite's state follows from its children's once these are known.

    Attributes
    ----------
    slot : int
        The composite.
    children : tuple of int
        Whose states make its state.
    logic, count
        How.
    valued : tuple of int
        Whose values make its value, where its effect is one.
    member_effect : Effect
        The kind of these values, and the threshold each is held against.
    """

    slot: int
    children: tuple[int, ...]
    logic: Logic
    count: int
    valued: tuple[int, ...] = ()
    member_effect: Effect = TRUTH


Step = int | Close  # a slot to open (and, for a rule, to evaluate), or a composite to close


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Plan:
    """The flat layout.

    Attributes
    ----------
    slots : tuple of Slot
        All nodes, the outermost first, each after its causes.
    steps : tuple
        What to do, in order.
    stages : tuple
        The same for arrays: runs of plain rules become sweeps, done at once.
    inputs : tuple
        What the rules read, each once.
    from_contexts : mapping
        The places of those that contexts give.
    groups : tuple of Group
        Rules that one call evaluates.
    single_rules : tuple of (slot, Rule)
        The other rules that need not wait for their causes.
    inside : mapping
        For each composite the slots directly inside it, those left out by the question too.
    sinks : tuple of int
        The outermost graph's last effects.
    values : mapping
        For each slot whose effect is a value, its place among the values.
    """

    slots: tuple[Slot, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    stages: tuple[Step | Sweep, ...] = field(repr=False)
    inputs: tuple[Input, ...] = field(repr=False)
    from_contexts: Mapping[FromContext, int] = field(repr=False)
    groups: tuple[Group, ...] = field(repr=False)
    single_rules: tuple[tuple[int, Rule], ...] = field(repr=False)
    inside: Mapping[int, tuple[int, ...]] = field(repr=False)
    sinks: tuple[int, ...] = field(repr=False)
    values: Mapping[int, int] = field(repr=False)
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
