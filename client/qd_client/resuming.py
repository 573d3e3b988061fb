"""Where a stream is, what is asked for next, and when it is given up.

Sans-IO: rows, failures and clock readings in; the next request, a time to wait, the end or an
error out. However often a stream is interrupted, each row is given once and in order, or the
error says from where to ask again.

Trades go on at their next sequence. Bars go on by time, at the start of the next bar: their
numbers count the bars of the range, which an import between the two requests may have shifted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from qd_client.errors import (
    ChannelFailed,
    DataUnavailable,
    Lost,
    NotLoggedIn,
    SendFailed,
    StreamIncomplete,
    StreamInterrupted,
    StreamsFull,
)
from qd_client.limits import GAP_TRIES_MAX, RETRY_SECONDS_FIRST, RETRY_SECONDS_MAX
from qd_client.request import Range, StreamRequest, microseconds
from qd_fluvio import FluvioError, InvalidTopicName, TlsFailed
from qd_schemas.arrays import Rows
from qd_schemas.bars import bar_ends
from qd_schemas.enums import Reason
from qd_schemas.errors import QdError

_PASSING: Final = (FluvioError, Lost, NotLoggedIn, SendFailed, ChannelFailed, StreamInterrupted)
_LASTING: Final = (TlsFailed, InvalidTopicName)
# Refusals that pass only where the stream was running already: at its begin they mean that the
# database is not made for this gateway, or that the program opens too many streams.
_PASSING_LATER: Final = (Reason.DATABASE_FAILED, Reason.CLIENT_STREAMS_FULL)
_AT_THE_END: Final = (Reason.NONE, Reason.NO_ROWS, Reason.BAR_NOT_OVER)


@dataclass(slots=True)
class Progress:
    """How far a stream is.

    Attributes
    ----------
    next_sequence : int
        The number of the row that comes next: a trade's within its market, a bar's within the
        range that was asked for.
    rows : int
        How many were given.
    resumed : int
        How often the stream was asked for again.
    """

    next_sequence: int = 1
    rows: int = 0
    resumed: int = 0


class Resuming:
    """One stream across its requests.

    Parameters
    ----------
    request : StreamRequest
        As the user asked.
    patience_s : float
        How long it may be interrupted without a row; 0 never asks again.
    progress : Progress
        Kept up to date here.
    chance : callable
        Numbers from 0 to 1 that spread the requests of many clients.
    """

    def __init__(
        self,
        request: StreamRequest,
        patience_s: float,
        progress: Progress,
        chance: Callable[[], float],
    ) -> None:
        self._request = request
        self._patience_s = patience_s
        self._progress = progress
        self._chance = chance
        progress.next_sequence = request.range.first_sequence
        self._last: Rows | None = None  # the last row that was given
        self._asked = 0
        self._overlaps = False  # the next row is the last one once more
        self._is_owed = False  # the gateway is known to have further rows
        self._fails = self._gaps = 0  # since the last row
        self._spent_s = 0.0  # of the patience, since the last row
        self._since: float | None = None  # when the interruption began that lasts

    def next_request(self, stream_id: int, now: float) -> StreamRequest | None:
        """What to ask for; None where nothing is left that could be asked for."""
        if self._since is None:
            self._since = now
        rest = self._rest()
        if rest is None:
            return None
        self._progress.resumed = self._asked
        self._asked += 1
        self._overlaps = self._last is not None and self._request.unfinished
        return replace(self._request, stream_id=stream_id, range=rest)

    def asked(self, now: float) -> None:
        """The request is on its way: what the gateway does with its time is not ours to judge."""
        if self._since is not None:
            self._spent_s += now - self._since
            self._since = None

    def left_s(self, now: float) -> float | None:
        """How much of the patience is left; None where there is none, and nothing is waited for."""
        if not self._patience_s:
            return None
        waiting = 0.0 if self._since is None else now - self._since
        return max(self._patience_s - self._spent_s - waiting, 0.0)

    def took(self, rows: Rows) -> Rows:
        """Rows of the request came, in order; gives those that are new.

        Raises
        ------
        StreamIncomplete
            A bar that was given as it was so far has grown, and others follow it.
        """
        if self._overlaps:
            self._overlaps = False
            rows = self._after_last(rows)
        if len(rows):
            self._last = rows[-1:].copy()
            self._progress.rows += len(rows)
            self._progress.next_sequence = self._number_after(rows)
            self._fails = self._gaps = 0
            self._spent_s = 0.0
            self._is_owed = False
        return rows

    def failed(self, error: QdError, now: float) -> float | None:
        """The request came to nothing, or to no more.

        Returns
        -------
        float or None
            Seconds after which to ask again; None where the stream is whole.

        Raises
        ------
        QdError
            The stream is given up: the error, with what to do.
        """
        if self._since is None:
            self._since = now
        self._fails += 1
        if isinstance(error, DataUnavailable) and self._is_at_end(error):
            return None
        if self._is_gap(error):
            self._gaps += 1
            self._is_owed = True
            if self._gaps >= GAP_TRIES_MAX:
                raise self._located(error, f"asked {self._gaps} times")
        elif not self._passes(error):
            is_early_end = isinstance(error, StreamIncomplete)
            raise self._located(error) if is_early_end else error
        left_s = self.left_s(now)
        if left_s is None:
            raise self._located(error)
        wait_s = self._pause_s()
        if wait_s >= left_s:
            raise self._located(error, f"nothing came for {self._patience_s:g} s")
        return wait_s

    # --- what is left -----------------------------------------------------------------

    def _rest(self) -> Range | None:
        asked = self._request.range
        if self._last is None:
            return asked
        if not self._request.is_bars:
            # Times never fall, so the start says nothing more; without it, a gap would show.
            return replace(asked, first_sequence=self._progress.next_sequence, start=None)
        start = self._next_start(self._last)
        return replace(asked, first_sequence=1, start=start) if start < self._end else None

    @property
    def _end(self) -> int:
        return microseconds(self._request.range.end)

    def _next_start(self, last: Rows) -> int:
        """Where the next bar can start; with unfinished bars, the last one may have grown."""
        if self._request.unfinished:
            return int(last["time"][0])
        return int(bar_ends(self._request.resolution, last["time"])[0])

    def _number_after(self, rows: Rows) -> int:
        if self._request.is_bars:
            return self._request.range.first_sequence + self._progress.rows
        return int(rows["sequence"][-1]) + 1

    def _after_last(self, rows: Rows) -> Rows:
        """Without the first, which must be the one that was given last."""
        assert self._last is not None
        if rows[0] == self._last[0]:
            return rows[1:]
        expected, found = int(self._last["time"][0]), int(rows["time"][0])
        raise StreamIncomplete(
            f"{self._request}: the bar that starts at {_iso(expected)} was not over when it was "
            "given, and has changed while the stream was interrupted; ask again with "
            f"start={_iso(expected)}",
            expected,
            found,
        )

    # --- failures ---------------------------------------------------------------------

    def _is_at_end(self, error: DataUnavailable) -> bool:
        """True where rows came before, and the gateway says that there are no more."""
        if not self._progress.rows or error.reason not in _AT_THE_END:
            return False
        if self._is_owed:
            raise self._located(error, "though the gateway had further rows before")
        return True

    def _is_gap(self, error: QdError) -> bool:
        return isinstance(error, StreamIncomplete) and error.found is not None

    def _passes(self, error: QdError) -> bool:
        if (isinstance(error, _LASTING) and not error.retriable) or not isinstance(error, _PASSING):
            return False
        if isinstance(error, StreamsFull | ChannelFailed) and error.reason in _PASSING_LATER:
            return self._asked > 1 or self._progress.rows > 0
        return True

    def _pause_s(self) -> float:
        longest: float = min(RETRY_SECONDS_FIRST * 2 ** min(self._fails - 1, 16), RETRY_SECONDS_MAX)
        return longest * (0.5 + self._chance() / 2)

    def _located(self, error: QdError, why: str = "") -> QdError:
        """The error once more, with from where to ask again."""
        again = copy.copy(error)
        reason = f" ({why})" if why else ""
        again.args = (f"{error}{reason}; ask again {self._from_where()}",)
        return again.with_traceback(None)

    def _from_where(self) -> str:
        if self._request.is_bars and self._last is not None:
            return f"with start={_iso(self._next_start(self._last))}"
        return f"from sequence {self._progress.next_sequence}"


def _iso(microseconds_utc: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds_utc)
    return moment.isoformat().replace("+00:00", "Z")
