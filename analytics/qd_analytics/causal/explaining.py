"""Records in words, as trees for a terminal, and as plain data. Reads records only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qd_analytics.causal.states import State

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from qd_analytics.causal.evaluation import Evaluation

COLOURS: Final = {
    State.TRUE: "green",
    State.FALSE: "red",
    State.NOT_EVALUATED: "bright_black",
    State.ERROR: "magenta",
    State.RELAYED: "blue",
}
SIGNS: Final = {
    State.TRUE: "✓",
    State.FALSE: "✗",
    State.NOT_EVALUATED: "·",
    State.ERROR: "!",
    State.RELAYED: "→",
}


def words(record: Evaluation, at: int) -> str:
    """One line for a rule, a list for what has nodes inside."""
    inside = record.inside(at)
    if not inside:
        return _line(record, at)
    return "\n".join(f"\n * {_entry(record, child, 1)}" for child in inside) + "\n"


def _entry(record: Evaluation, at: int, depth: int) -> str:
    lines = [_line(record, at)]
    lines += [
        "   " * depth + "* " + _entry(record, child, depth + 1) for child in record.inside(at)
    ]
    return "\n".join(lines)


def _line(record: Evaluation, at: int) -> str:
    slot, state = record.plan.slots[at], record.states[at]
    head = f"Causaloid: {slot.id} {slot.description}".rstrip()
    if state in (State.NOT_EVALUATED, State.ERROR):
        return f"{head} {state.label}: {record.reason(at)}"
    seen = _seen(record, at)
    head = f"{head}{f' on last data {seen}' if seen else ''}"
    if state is State.RELAYED:
        return f"{head} {record.reason(at)}"
    return f"{head} evaluated to {_said(record, at)}"


def _seen(record: Evaluation, at: int) -> str:
    numbers = record.numbers(at)
    if len(numbers) == 1:
        return str(next(iter(numbers.values())))
    return ", ".join(f"{name}={value}" for name, value in numbers.items())


def _said(record: Evaluation, at: int) -> str:
    value, state = record.effect(at), record.states[at]
    if value is None:
        return state.label
    threshold = record.plan.slots[at].effect.threshold
    return f"{value}" if threshold is None else f"{value} ({state.label}: above {threshold})"


def tree(record: Evaluation, at: int) -> Tree:
    """The record as a tree; each node with a sign and a colour for its state."""
    from rich.tree import Tree  # here, since who shows no tree need not wait for it

    made = Tree(_label(record, at))
    _grow(made, record, at)
    return made


def _grow(into: Tree, record: Evaluation, at: int) -> None:
    for child in record.inside(at):
        _grow(into.add(_label(record, child)), record, child)


def _label(record: Evaluation, at: int) -> Text:
    from rich.text import Text  # as above

    slot, state = record.plan.slots[at], record.states[at]
    text = Text(f"{SIGNS[state]} ", style=COLOURS[state])
    text.append(str(slot.id), style="bold")
    if slot.description:
        text.append(f"  {slot.description}")
    if seen := _seen(record, at):
        text.append(f"  [{seen}]", style="cyan")
    said = record.reason(at) if state in (State.ERROR, State.NOT_EVALUATED, State.RELAYED) else None
    text.append(f"  {said or _said(record, at)}", style=COLOURS[state])
    return text


def data(record: Evaluation, at: int) -> dict[str, Any]:
    """The record as plain data: what JSON can say."""
    slot, node = record.plan.slots[at], record.slot(at)
    found: dict[str, Any] = {"id": slot.id, "state": node.state.label}
    if slot.description:
        found["description"] = slot.description
    if node.value is not None:
        found["value"] = node.value
    if node.values:
        found["read"] = dict(node.values)
    if node.reason is not None:
        found["reason"] = node.reason
    if inside := record.inside(at):
        found["nodes"] = [data(record, child) for child in inside]
    return found
