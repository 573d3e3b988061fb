"""What a run is told: topics, names and times. Only values and their checks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from qd_fluvio.processors.errors import BadProcessor
from qd_fluvio.processors.stages.making import checked_topic

ID_CHARACTERS_MAX: Final = 50
"""With what is put behind it, it is a topic's name."""
CHECKPOINT_SECONDS_DEFAULT: Final = 1.0
RECONNECT_SECONDS_DEFAULT: Final = 60.0

_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a processor is run.

    Attributes
    ----------
    source : str
        The topic that is read.
    to : str or None
        The topic that is written; None where the processor names topics itself.
    processor_id : str
        Under this name the state is kept: a run of the same name goes on where one stopped.
    dead_letters : str
        The topic for records that fail; empty means the id and ``-dead-letters``.
    partitions : tuple of int
        Those that are read; empty means all. Each has a state of its own.
    from_beginning : bool
        Where the first run of this name starts: at the oldest record, or at the end.
    once : bool
        End when what was there at the start is processed.
    finish : bool
        With `once`: what is still open then, such as windows, is given out.
    sole_writer : bool
        Nobody else writes the output's partitions, and the processor gives the same each time:
        records need no stamps, and keyed ones are written once too.
    checkpoint_seconds : float
        How often the state is written, at most.
    reconnect_seconds : float
        For how long a cluster that is gone is waited for.
    """

    source: str
    to: str | None
    processor_id: str
    dead_letters: str = ""
    partitions: tuple[int, ...] = ()
    from_beginning: bool = False
    once: bool = False
    finish: bool = False
    sole_writer: bool = False
    checkpoint_seconds: float = CHECKPOINT_SECONDS_DEFAULT
    reconnect_seconds: float = RECONNECT_SECONDS_DEFAULT

    def __post_init__(self) -> None:
        name = self.processor_id
        if not _ID.fullmatch(name) or len(name) > ID_CHARACTERS_MAX:
            raise BadProcessor(
                f"the id {name!r}; expected at most {ID_CHARACTERS_MAX} of a-z, 0-9 and hyphens, "
                "none of these first or last: give another with --id"
            )
        self._check_topic("--from", self.source)
        self._check_topic("--to", self.to)
        self._check_topic("--dead-letter", self.letters)
        if self.letters in (self.source, self.to):
            raise BadProcessor(f"dead letters go to {self.letters!r}, which is read or written")
        if self.state_topic in (self.source, self.to, self.letters):
            raise BadProcessor(
                f"{self.state_topic!r} is for the state: choose another topic or --id"
            )
        if self.source == self.to:
            raise BadProcessor(f"{self.source!r} is read and written: it would never end")
        if self.finish and not self.once:
            raise BadProcessor("--finish ends an input: give --once with it")
        if len(set(self.partitions)) != len(self.partitions) or min(self.partitions, default=0) < 0:
            raise BadProcessor(f"the partitions {self.partitions}; expected each once, from 0 up")

    @staticmethod
    def _check_topic(what: str, topic: str | None) -> None:
        try:
            if topic is not None:
                checked_topic(topic)
        except ValueError as error:
            raise BadProcessor(f"{what}: {error}") from None

    @property
    def letters(self) -> str:
        """The topic of dead letters."""
        return self.dead_letters or f"{self.processor_id}-dead-letters"

    @property
    def state_topic(self) -> str:
        """The topic of checkpoints."""
        return f"{self.processor_id}-state"
