"""Workers pass in the order of their numbers, and none waits for ever."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from qd_store.imports.turns import Turns


def test_turns_come_in_order() -> None:
    passed: list[int] = []
    all_here = threading.Barrier(4)

    def work(number: int) -> None:
        all_here.wait()
        with turns.of(number):
            passed.append(number)

    turns = Turns(lambda: None)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, reversed(range(4))))
    assert passed == [0, 1, 2, 3]


def test_a_turn_that_fails_is_over() -> None:
    turns = Turns(lambda: None)
    with pytest.raises(KeyError), turns.of(0):
        raise KeyError
    with turns.of(1):
        pass


def test_who_waits_can_be_stopped() -> None:
    def check() -> None:
        raise InterruptedError

    turns = Turns(check)
    with pytest.raises(InterruptedError), turns.of(1):
        pass
