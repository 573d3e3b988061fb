"""How much streams read, hold and send at once, and how long they wait: named, with units."""

from __future__ import annotations

from qd_gateway.core.plans import StreamPlan

PIECES_AT_ONCE = 8  # each with a database connection
PIECE_ROWS_ALONE = 1_048_576  # nobody else reads: the waits between two pieces cost least
PIECE_ROWS_MAX = 65_536  # costs some 15 % more
PIECE_ROWS_MIN = 16_384  # what a stream gets at least, whatever the number of others
PIECE_ROWS_FIRST = 16_384  # so that the first row comes soon
ROUND_ROWS = 1_048_576  # of all clients together, before each gets less than the most
PIECE_ROWS_UNPACKED = 16_384  # of version 1, where a row costs some seven times as much
PIECE_ROWS_PACED = 2_048  # one piece at hand, and the next
HELD_ROWS_MAX = 4_096  # by a stream that waits: 128 kB of trades, 192 kB of bars
AHEAD_ROWS_MIN = 1_024  # however narrow a window is
ROWS_BESIDE = 64  # room for what an answer holds besides its rows: no batch has just what is left
BATCH_ROWS = PIECE_ROWS_MIN + ROWS_BESIDE  # that come from the database at once
GROWTH = 4  # of the next piece, where the one before was sent as soon as it was there

# Encoded and handed over at once: whole frames of trades, a few milliseconds' work.
SEND_ROWS_PACKED = 4 * 1_777
SEND_ROWS_UNPACKED = 4_096
SEND_ROWS_SMALL = 512  # so few hold nobody up

STALL_SECONDS = 1.0  # a producer takes nothing: the stream lets go of what it does not need
SHORT_WAIT_SECONDS = 0.05  # for which it is not worth while

OUTAGE_SECONDS_MAX = 10.0  # of the database, that a stream outlasts
RETRY_SECONDS_MIN = 0.1
RETRY_SECONDS_MAX = 1.0
OUTAGE_SECONDS_MAX_AT_START = 3.0  # before a stream's first row
ATTEMPT_SECONDS = 10.0  # to read again, while it may be down
DRAIN_SECONDS = 1.0  # for the end of an answer whose rows are all there


class PieceSize:
    """How many rows one stream's next piece has: more from piece to piece, less after a wait.

    Parameters
    ----------
    plan : StreamPlan
        The stream.
    """

    def __init__(self, plan: StreamPlan) -> None:
        self._least = PIECE_ROWS_PACED if plan.pace else PIECE_ROWS_FIRST
        self._most = PIECE_ROWS_ALONE if plan.is_packed else PIECE_ROWS_UNPACKED
        self._rows = self._least

    def next(self) -> int:
        """The next piece's rows."""
        rows = self._rows
        self._rows = min(rows * GROWTH, self._most)
        return rows

    def in_time(self) -> None:
        """A paced stream has rows that are not due yet."""
        self._rows = self._least

    def stalled(self) -> None:
        """Its records are not taken."""
        self._rows = HELD_ROWS_MAX
