"""A processor: named steps that records go through, and how to try one without a broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from qd_fluvio.api import Record
from qd_fluvio.processors.errors import BadProcessor, RecordFailed
from qd_fluvio.processors.stamps import users_key
from qd_fluvio.processors.values import Failure, Fed, Item, Stage, item_of

STEPS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a processor: a name, and how to begin it with an empty state."""

    name: str
    kind: str
    open: Callable[[], Stage]


@dataclass(frozen=True, slots=True)
class Processor:
    """What the decorators and `chain` give.

    Attributes
    ----------
    name : str
        The function's, or what it is shipped as.
    about : str
        One line on what it does.
    steps : tuple of Step
        In the order in which records go through them.
    function : callable or None
        The user's function, which calling the processor calls.
    """

    name: str
    about: str
    steps: tuple[Step, ...]
    function: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Call the decorated function by itself, as in a test of it."""
        if self.function is None:
            raise BadProcessor(f"{self.name} is no single function; use {self.name}.run(records)")
        return self.function(*arguments)

    def run(
        self,
        records: Iterable[Record | bytes],
        *,
        finish: bool = False,
        failures: list[Failure] | None = None,
    ) -> list[Record]:
        """Process records without a broker, from an empty state.

        Parameters
        ----------
        records : iterable of Record or bytes
            Bytes are values of records without keys at offsets 0, 1, 2...
        finish : bool
            Whether the input is over, so that what is still open is given out.
        failures : list, optional
            Takes the records that fail.

        Returns
        -------
        list of Record
            The offset is that of the input record which caused it. Where a record goes to
            another topic is not told; see `items`.

        Raises
        ------
        RecordFailed
            A record failed and no list of `failures` was given.
        """
        made = self.items(records, finish=finish, failures=failures)
        return [Record(item.origin, item.timestamp_ms, item.key, item.value) for item in made]

    def items(
        self,
        records: Iterable[Record | bytes],
        *,
        finish: bool = False,
        failures: list[Failure] | None = None,
    ) -> list[Item]:
        """As `run`, with the topics: an item's is None where the processor writes by default."""
        work = Work(self.steps)
        fed = work.feed([_item(number, record) for number, record in enumerate(records)])
        if finish:
            last = work.finish()
            fed = Fed(fed.items + last.items, fed.failures + last.failures)
        if failures is not None:
            failures += fed.failures
        elif fed.failures:
            failed = fed.failures[0]
            raise RecordFailed(
                f"record {failed.item.origin} failed in {failed.step}: {failed.reason}"
            )
        return fed.items


def _item(number: int, record: Record | bytes) -> Item:
    if isinstance(record, Record):
        return item_of(record)._replace(key=users_key(record.key))
    return Item(number, -1, None, record)


def chain(*processors: Processor, name: str | None = None) -> Processor:
    """One processor of several: what one gives, the next one gets.

    Raises
    ------
    BadProcessor
        There is none, something else, or too many.
    """
    for given in processors:
        if not isinstance(given, Processor):
            raise BadProcessor(f"chain was given {given!r}; expected processors")
    steps = tuple(step for each in processors for step in each.steps)
    if not 1 <= len(steps) <= STEPS_MAX:
        raise BadProcessor(f"a chain of {len(steps)} steps; expected 1 to {STEPS_MAX}")
    if len(processors) == 1 and name is None:
        return processors[0]
    about = ", then ".join(each.name for each in processors)
    return Processor(name or "-".join(each.name for each in processors), about, steps)


class Work:
    """The steps at work, with their states.

    Parameters
    ----------
    steps : tuple of Step
        Begun with empty states.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.names = tuple(step.name for step in steps)
        self._stages = [step.open() for step in steps]
        self._last: tuple[int, int] | None = None  # origin and time of the newest item

    def feed(self, items: list[Item]) -> Fed:
        """Take items through all steps; failures come in the order of their origins."""
        if items:
            self._last = (items[-1].origin, items[-1].timestamp_ms)
        return self._through(items, 0)

    def _through(self, items: list[Item], first: int) -> Fed:
        failures: list[Failure] = []
        for stage in self._stages[first:]:
            fed = stage.feed(items)
            items = fed.items
            failures += fed.failures
        failures.sort(key=lambda failure: failure.item.origin)
        return Fed(items, failures)

    def finish(self) -> Fed:
        """Give out what is open, from the first step to the last."""
        all_fed = Fed()
        if self._last is None:
            return all_fed
        for number, stage in enumerate(self._stages, 1):
            fed = stage.finish(*self._last)
            rest = self._through(fed.items, number)
            all_fed.items += rest.items
            all_fed.failures += fed.failures + rest.failures
        return all_fed

    def snapshot(self) -> tuple[bytes, ...]:
        """The states of all steps, and of the pipeline itself."""
        return tuple(stage.snapshot() for stage in self._stages)

    def restore(self, states: tuple[bytes, ...], last: tuple[int, int] | None) -> None:
        """Take states that `snapshot` gave."""
        for stage, state in zip(self._stages, states, strict=True):
            if state:
                stage.restore(state)
        self._last = last

    @property
    def last(self) -> tuple[int, int] | None:
        """Offset and time of the newest record taken."""
        return self._last
