"""Which topics are clients', and when those that nobody uses are deleted."""

from __future__ import annotations

from qd_gateway.topics.sweeping import Unused, clients_of
from qd_schemas.topics import CONTROL, client_topics


def test_whose_topics_are_whose() -> None:
    others = [CONTROL, "client-20-data", "client-65535-data", "client-021-data", "client-21-other"]
    names = [*client_topics(21).all, client_topics(65_534).error, *others, "client-999999-data"]
    assert clients_of(names) == {21, 65_534}


def test_topics_are_kept_for_a_while_after_their_last_use() -> None:
    unused = Unused(60.0)
    assert unused.due({21, 22}, 0.0) == set()
    assert unused.due({21, 22, 23}, 59.0) == set()
    assert unused.due({21, 23}, 60.0) == {21}
    assert unused.due({21, 22, 23}, 61.0) == {21}  # 22 was used meanwhile: its time is anew
    assert unused.due({22, 23}, 119.0) == {23}
    assert unused.due({22}, 121.0) == {22}


def test_who_is_about_to_log_in_keeps_its_topics() -> None:
    unused = Unused(60.0)
    unused.due({21}, 0.0)
    unused.heard(21, 50.0)
    unused.heard(22, 50.0)
    assert unused.due({21, 22}, 100.0) == set()
    assert unused.due({21, 22}, 110.0) == {21}
