"""How far the analytics service is with a market, as its log says. Pure.

It logs a line when it has evaluated all trades that a market has and when every alert of
theirs is on the topic; a reader that has all records until then has all of the market's alerts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_CAUGHT_UP = re.compile(r" (?P<symbol>\S+) caught up: (?P<trades>\d+) trades, ")


def trades_evaluated(log_lines: Iterable[str], symbol: str) -> int:
    """Return how many trades of a market have been evaluated, from its first one on."""
    found = (_CAUGHT_UP.search(line) for line in log_lines)
    return sum(int(match["trades"]) for match in found if match and match["symbol"] == symbol)
