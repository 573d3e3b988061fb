"""Ports for services that tests start, kill and start again at the same address.

None of them is one that the system gives to connections and to who asks for any: such a port may
be another's by the time its service comes back. Each test process has a block of its own.
"""

from __future__ import annotations

import itertools
import socket

FIRST, END = 10_000, 32_768  # Linux gives away those from 32,768 on
BLOCK = 100


def _claimed_block() -> tuple[socket.socket, int]:
    """The first block that no other process has, and what holds it: a UDP socket at its port."""
    for first in range(FIRST, END - BLOCK, BLOCK):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
        else:
            return claim, first
    raise AssertionError(f"all ports from {FIRST} to {END} are taken")


_claim, _first = _claimed_block()  # held until this process ends
_turns = itertools.cycle(range(_first, _first + BLOCK))


def free_port() -> int:
    """A port of this process at which nobody listens; it comes again after all the others."""
    for port in itertools.islice(_turns, BLOCK):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"somebody listens at each of the ports from {_first} on")
