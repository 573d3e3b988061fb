"""The causal state machine: what fires, what is refused, and what is recorded."""

from __future__ import annotations

import pytest

from qd_analytics import (
    CausalAction,
    CausalState,
    CausalStateMachine,
    Context,
    Datoid,
    FromContext,
    Guard,
    Singleton,
    State,
    threshold,
)
from qd_analytics.causal.errors import UnknownNode


def state(id: str, value: float) -> CausalState:
    return CausalState(id, threshold(id, 0.5), {id: value})


def test_a_guard_is_asked_before_an_action_fires() -> None:
    fired: list[str] = []
    asked: list[str] = []

    def allows(state: CausalState, action: CausalAction, record: object) -> bool:
        asked.append(str(state.id))
        assert not fired or state.id not in fired
        return state.id != "b"

    machine = CausalStateMachine(
        [
            (state(name, value), CausalAction(lambda r, name=name: fired.append(name)))  # type: ignore[misc]
            for name, value in (("a", 0.9), ("b", 0.9), ("c", 0.1))
        ],
        [Guard("b is off limits", allows)],
    )
    a, b, c = machine.evaluate_all()
    assert (a.fired, b.fired, c.fired) == (True, False, False)
    assert b.refused == "b is off limits"
    assert (fired, asked) == (["a"], ["a", "b"])
    assert a.explain().startswith("state 'a' fired\n")
    assert b.explain().startswith("state 'b' refused: b is off limits\n")
    assert c.explain().startswith("state 'c' no action: the state does not hold\n")


def test_states_that_fail_fire_nothing() -> None:
    fired: list[object] = []
    machine = CausalStateMachine([(state("a", float("nan")), CausalAction(fired.append))])
    firing = machine.evaluate("a")
    assert (firing.fired, firing.evaluation.state) == (False, State.ERROR)
    assert firing.error == "'a' is nan; expected a finite number"
    assert not fired


def test_an_action_or_a_guard_that_fails_is_recorded() -> None:
    def fails(*_: object) -> bool:
        raise RuntimeError("no contact")

    pairs = [(state("a", 0.9), CausalAction(fails))]
    for guards, who in (((), "action of 'a'"), ([Guard("a is on", fails)], "guard 'a is on'")):
        firing = CausalStateMachine(pairs, guards).evaluate("a")
        said = f"the {who} raised RuntimeError: no contact"
        assert (firing.fired, firing.error) == (False, said)
        assert firing.explain().startswith(f"state 'a' failed: {said}\n")


def test_all_states_are_evaluated_before_the_first_action() -> None:
    context = Context("levels")
    context.add(Datoid(1, {"level": 1.0}))
    high = Singleton("high", lambda level: level > 0.5, [FromContext(1, "level")])
    drain = CausalAction(lambda record: context.adjust(1, level=-1.0))
    machine = CausalStateMachine(
        [(CausalState(n, high, contexts=(context,)), drain) for n in range(2)]
    )
    assert [firing.fired for firing in machine.evaluate_all()] == [True, True]
    assert context.read(1, "level") == -1.0


def test_data_by_state_and_results() -> None:
    machine = CausalStateMachine([(state("a", 0.1), CausalAction(lambda record: record.result))])
    assert machine.evaluate_all({"a": {"a": 0.9}})[0].result is True
    assert machine.evaluate_all()[0].result is None
    with pytest.raises(UnknownNode, match="no state 'b'; there are 'a'"):
        machine.evaluate_all({"b": {}})
    machine.update(state("a", 0.9), CausalAction(lambda record: "new"))
    assert machine.evaluate("a").result == "new"
    assert "a" in machine
