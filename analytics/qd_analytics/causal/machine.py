"""A causal state machine: states that causaloids decide, and the actions that they fire.

An action fires only after its state was evaluated to true and no guard refused it. What
happened is a record; the machine keeps no results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qd_analytics.causal.causaloid import Causaloid
from qd_analytics.causal.context import Context
from qd_analytics.causal.errors import DuplicateNode, UnknownNode
from qd_analytics.causal.evaluation import Evaluation
from qd_analytics.causal.inputs import Data, Key
from qd_analytics.causal.states import State


@dataclass(frozen=True, slots=True)
class CausalState:
    """A state: it holds when its causaloid is true.

    Attributes
    ----------
    id : str or int
    causaloid : Causaloid
    data : mapping
        What the causaloid reads, where an evaluation gives nothing else.
    contexts : tuple of Context
    version : int
    """

    id: Key
    causaloid: Causaloid
    data: Data = field(default_factory=dict)
    contexts: tuple[Context, ...] = ()
    version: int = 1

    def evaluate(self, data: Data | None = None, *contexts: Context) -> Evaluation:
        """Evaluate the causaloid for these data, and the state's own for the rest."""
        given = self.data if data is None else {**self.data, **data}
        return self.causaloid.evaluate(given, *contexts, *self.contexts)


@dataclass(frozen=True, slots=True)
class CausalAction:
    """What a state fires.

    Attributes
    ----------
    function : callable
        Gets the state's evaluation; what it returns is in the record.
    description : str
    """

    function: Callable[[Evaluation], Any]
    description: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Guard:
    """What is checked before an action fires.

    Attributes
    ----------
    description : str
        Why it refuses, in words.
    allows : callable
        Of the state, the action and the evaluation, to true or false.
    """

    description: str
    allows: Callable[[CausalState, CausalAction, Evaluation], bool]


@dataclass(frozen=True, slots=True)
class Firing:
    """What happened to a state.

    Attributes
    ----------
    state : str or int
        Its id.
    evaluation : Evaluation
    fired : bool
        Whether the action ran, and to its end.
    refused : str or None
        The guard that kept it from firing.
    result : object
        What the action returned.
    error : str or None
        What went wrong, in the state, a guard or the action.
    """

    state: Key
    evaluation: Evaluation
    fired: bool = False
    refused: str | None = None
    result: Any = None
    error: str | None = None

    def explain(self) -> str:
        """In words: what the state said, and what became of its action."""
        if self.error is not None:
            end = f"failed: {self.error}"
        elif self.refused is not None:
            end = f"refused: {self.refused}"
        else:
            end = "fired" if self.fired else "no action: the state does not hold"
        return f"state {self.state!r} {end}\n{self.evaluation.explain()}"


class CausalStateMachine:
    """States with their actions.

    Parameters
    ----------
    pairs : iterable of (CausalState, CausalAction)
    guards : iterable of Guard
        All must allow an action.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[CausalState, CausalAction]] = (),
        guards: Iterable[Guard] = (),
    ) -> None:
        self._pairs: dict[Key, tuple[CausalState, CausalAction]] = {}
        self._guards = tuple(guards)
        for state, action in pairs:
            self.add(state, action)

    def __len__(self) -> int:
        return len(self._pairs)

    def __contains__(self, state: Key) -> bool:
        return state in self._pairs

    def add(self, state: CausalState, action: CausalAction) -> None:
        """Add a state; its id must be new."""
        if state.id in self._pairs:
            raise DuplicateNode(f"there is a state {state.id!r} already; use update to replace it")
        self._pairs[state.id] = state, action

    def update(self, state: CausalState, action: CausalAction) -> None:
        """Replace the state with the same id, and its action."""
        self._pair(state.id)
        self._pairs[state.id] = state, action

    def remove(self, state: Key) -> None:
        """Remove a state with its action."""
        self._pair(state)
        del self._pairs[state]

    def evaluate(self, state: Key, data: Data | None = None, *contexts: Context) -> Firing:
        """Evaluate one state and fire its action if it holds.

        Parameters
        ----------
        data : mapping, optional
            What the state reads; without it, its own data.
        """
        found, action = self._pair(state)
        return self._fire(found, action, found.evaluate(data, *contexts))

    def evaluate_all(
        self, data: Mapping[Key, Data] | None = None, *contexts: Context
    ) -> tuple[Firing, ...]:
        """Evaluate all states, in the order in which they were added, then fire those that hold.

        All are evaluated before the first action runs, so that no action changes what
        another state sees.

        Parameters
        ----------
        data : mapping, optional
            Data by state.
        """
        given = data or {}
        for state in given:
            self._pair(state)
        pairs = tuple(self._pairs.values())
        records = [state.evaluate(given.get(state.id), *contexts) for state, _ in pairs]
        return tuple(
            self._fire(state, action, record)
            for (state, action), record in zip(pairs, records, strict=True)
        )

    def _pair(self, state: Key) -> tuple[CausalState, CausalAction]:
        try:
            return self._pairs[state]
        except KeyError:
            raise UnknownNode(
                f"there is no state {state!r}; there are {', '.join(map(repr, self._pairs))}"
            ) from None

    def _fire(self, state: CausalState, action: CausalAction, record: Evaluation) -> Firing:
        if record.state is State.ERROR:
            return Firing(state.id, record, error=record.reason(0))
        if record.state is not State.TRUE:
            return Firing(state.id, record)
        asked = ""
        try:
            for guard in self._guards:
                asked = f"the guard {guard.description!r}"
                if not guard.allows(state, action, record):
                    return Firing(state.id, record, refused=guard.description)
            asked = f"the action of {state.id!r}"
            result = action.function(record)
        except Exception as error:  # guards and actions are users' code
            told = f"{asked} raised {type(error).__name__}: {error}"
            return Firing(state.id, record, error=told)
        return Firing(state.id, record, fired=True, result=result)
