"""The verdict on a soak, from the ledgers alone: what was acknowledged is what was consumed.

Nothing here opens a file or asks a cluster.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from soak.ledger import ACKNOWLEDGED, COMMITTED, COMMITTING, READ, RESUMED, Entry
from soak.records import Identity

Lives = Sequence[Sequence[Entry]]
"""An actor's ledgers, one for each of its lives."""
SHOWN_MAX = 20


@dataclass(slots=True)
class Verdict:
    """What is wrong, and how much was looked at."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def fault(self, text: str) -> None:
        """Note what is wrong; only the first ones in words."""
        self.counts["faults"] += 1
        if len(self.faults) < SHOWN_MAX:
            self.faults.append(text)


def judge(
    producers: Mapping[int, Lives], consumers: Mapping[str, Lives], end_offset: int
) -> Verdict:
    """Judge one partition.

    Parameters
    ----------
    producers, consumers : mapping of actor to its ledgers
        All that wrote to the partition, and all that read it.
    end_offset : int
        The partition's end, after the last producer has stopped.
    """
    verdict = Verdict()
    read = {name: _history(name, lives, verdict) for name, lives in consumers.items()}
    for name, history in read.items():
        if len(history) != end_offset:
            verdict.fault(f"{name} read {len(history)} records of {end_offset}")
    histories = list(read.values())
    for name, history in read.items():
        if history[: len(histories[0])] != histories[0][: len(history)]:
            verdict.fault(f"{name} read other records than {next(iter(read))}")
    acknowledged = _acknowledged(producers)
    for name, history in read.items():
        _compare(name, acknowledged, history, verdict)
    verdict.counts["acknowledged"] = sum(acknowledged.values())
    verdict.counts["written"] = end_offset
    return verdict


def _acknowledged(producers: Mapping[int, Lives]) -> Counter[tuple[int, int, int]]:
    """How many records of each run are acknowledged."""
    found: Counter[tuple[int, int, int]] = Counter()
    for producer, lives in producers.items():
        for life, entries in enumerate(lives):
            for word, numbers in entries:
                assert word == ACKNOWLEDGED
                epoch, count = numbers
                found[producer, life, epoch] = max(found[producer, life, epoch], count)
    return found


def _compare(
    name: str, acknowledged: Mapping[tuple[int, int, int], int], history: array[int], out: Verdict
) -> None:
    """Each acknowledged record is there once, and each run in its order."""
    last: dict[tuple[int, int, int], int] = {}
    had: Counter[tuple[int, int, int]] = Counter()
    for offset, packed in enumerate(history):
        identity = unpack(packed)
        if identity.sequence <= last.get(identity.run, -1):
            before = last[identity.run]
            out.fault(f"{name}: offset {offset} holds {identity}, after sequence {before} of it")
        last[identity.run] = identity.sequence
        had[identity.run] += identity.sequence < acknowledged.get(identity.run, 0)
    for run, count in acknowledged.items():
        if had[run] != count:
            out.fault(f"{name} read {had[run]} of {count} acknowledged records of {run}")
    out.counts["consumed"] += len(history)


def _history(name: str, lives: Lives, out: Verdict) -> array[int]:
    """What a consumer read in all its lives, by offset; it may only repeat what is uncommitted."""
    history: array[int] = array("Q")
    committing = committed = expected = 0
    for life, entries in enumerate(lives):
        for word, numbers in entries:
            if word == READ:
                first, *fields, count = numbers
                if first != expected:
                    out.fault(f"{name}, life {life}: read offset {first}, expected {expected}")
                expected = first + count
                _extend(history, first, Identity(*fields), count, f"{name}, life {life}", out)
            elif word == RESUMED:
                (expected,) = numbers
                out.counts["resumptions"] += 1
                out.counts["read again"] += max(0, len(history) - expected)
                if not committed <= expected <= max(committed, committing):
                    out.fault(
                        f"{name}, life {life}: resumed at {expected}; it had committed {committed} "
                        f"and was about to commit {committing}"
                    )
                committed = max(committed, expected)
            elif word == COMMITTING:
                committing = max(committing, *numbers)  # it may take effect late
            elif word == COMMITTED:
                (committed,) = numbers
                out.counts["commits"] += 1
    return history


def _extend(
    history: array[int], first: int, identity: Identity, count: int, name: str, out: Verdict
) -> None:
    packed = pack(identity)
    found = array("Q", range(packed, packed + count))
    if first > len(history):
        out.fault(f"{name}: offsets {len(history)} to {first - 1} were never read")
        return
    known = history[first : first + count]
    if known != found[: len(known)]:
        out.fault(f"{name}: offset {first} held another record before than {identity}")
    history.extend(found[len(known) :])


def pack(identity: Identity) -> int:
    """Return an identity as one number; those of a run follow one another."""
    producer, life, epoch, sequence = identity
    return ((producer << 12 | life) << 12 | epoch) << 32 | sequence


def unpack(packed: int) -> Identity:
    """Return the identity of a number."""
    return Identity(packed >> 56, packed >> 44 & 0xFFF, packed >> 32 & 0xFFF, packed & 0xFFFFFFFF)
