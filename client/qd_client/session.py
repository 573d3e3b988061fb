"""One client's way to the gateway: its topics, its login, and the streams' requests and records.

A thin shell: `presence` decides what is said about the session, this module says it, reads what
comes, and begins again when the topics cannot be read any more. It carries streams' records to
their inboxes and knows nothing of their content. Streams that are lost are told so; to ask for
them again is their own affair.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from qd_client.acknowledging import Acknowledgements
from qd_client.control import ControlSender
from qd_client.demux import StreamKey, Word, key_of_request
from qd_client.errors import GatewayLost, GatewayUnavailable, QdClientError, UsageError
from qd_client.inbox import Inbox
from qd_client.limits import (
    LATE_TICKS,
    LOGIN_SECONDS_MAX,
    PROBE_SECONDS_MAX,
    RETRY_SECONDS_FIRST,
    RETRY_SECONDS_MAX,
    TICK_SECONDS_MAX,
    TICKS_PER_LEASE,
)
from qd_client.presence import (
    CameIn,
    CheckErrors,
    Interrupted,
    News,
    Presence,
    ReferencePresence,
    Refuse,
    Send,
)
from qd_client.reader import DataReader
from qd_client.refusals import data_refusal
from qd_client.request import StreamRequest
from qd_client.topics import OwnTopics, Tidier
from qd_fluvio import Consumer, Fluvio, FluvioError, InvalidTopicName, TlsFailed
from qd_schemas.codec import decode
from qd_schemas.errors import DecodeError, QdError
from qd_schemas.messages import ClientError, ClientLogout, DataError, Heartbeat, Message
from qd_schemas.topics import CONTROL
from qd_schemas.wire import NO_STREAM

_LASTING = (TlsFailed, InvalidTopicName)

_log = logging.getLogger("qd_client.session")


class Session:
    """A client id's session, and its successors after whatever ends one.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    client_id : int
        The id, which only this client uses.
    lease_ms : int
        How long either side may be silent.
    version : int
        1 speaks the reference's protocol: no heartbeats, no lease, and no coming back.
    token : str or None
        What proves that the id is this client's.
    """

    def __init__(
        self, fluvio: Fluvio, client_id: int, lease_ms: int, version: int, token: str | None
    ) -> None:
        self.client_id = client_id
        self._fluvio = fluvio
        self._lease_s = lease_ms / 1_000
        self._version = version
        kind = Presence if version > 1 else ReferencePresence
        self._presence = kind(client_id, lease_ms, token, lambda: 1 + secrets.randbits(62))
        self._clock = asyncio.get_running_loop().time
        self._own = OwnTopics(fluvio, client_id)
        self._control = ControlSender(fluvio, self._presence.record_of)
        self._tidier = Tidier(client_id, fluvio.endpoint)
        self._acks = Acknowledgements()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: list[asyncio.Task[None]] = []
        self._reader: DataReader | None = None
        self._errors: Consumer | None = None
        self._requests: dict[StreamKey, StreamRequest] = {}
        self._starting = asyncio.Lock()
        self._outgoing: Message | None = None
        self._post = asyncio.Event()
        self._changed = asyncio.Event()  # the presence, or the failure
        self._error_came = asyncio.Event()
        self._failure: QdError | None = None
        self._trouble: QdError | None = None
        self._may_have_session = False

    # --- begin and end ----------------------------------------------------------------

    async def open(self, *, may_exist: bool) -> None:
        """Create the topics and log in.

        Raises
        ------
        TopicExists
            Unless `may_exist`: the id's topics exist, so it is somebody's.
        AlreadyLoggedIn, LoginFailed
            The gateway refused.
        GatewayUnavailable
            Nobody answered.
        """
        existed = await self._attach(may_exist)
        # From here on the gateway may have a session, unless the id can be somebody else's.
        self._may_have_session = not existed
        for work in (self._keep_sending(), self._keep_ticking(), self._keep_reading()):
            self._start(work)
        try:
            async with asyncio.timeout(LOGIN_SECONDS_MAX):
                await self.ready()
        except TimeoutError:
            raise self._not_let_in() from None

    def _not_let_in(self) -> QdError:
        """Why the first login took too long."""
        trouble = self._trouble
        if trouble is not None and trouble.retriable:
            return trouble
        # What was refused may have been a copy of a proof, or one for the gateway before.
        heard = f", but answered at last: {trouble}" if trouble is not None else ""
        return GatewayUnavailable(
            f"no gateway let client {self.client_id} in on {CONTROL} at {self._fluvio.endpoint} "
            f"within {LOGIN_SECONDS_MAX:g} s{heard}; start one with `qd up` or "
            "`python -m qd_gateway`, look at its log, or try again"
        )

    async def close(self) -> None:
        """Log out and delete the topics; never fails, but logs what could not be done.

        A cluster that hangs keeps nobody waiting for longer than one step.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.fail(UsageError(f"client {self.client_id} is closed; open a new one"))
        tidy, presence = self._tidier.attempt, self._presence
        if self._may_have_session and not presence.is_taken:
            await tidy(self._control.send(ClientLogout(self.client_id)), "log out")
        await tidy(self._control.aclose(), f"close its producer of {CONTROL}")
        self._control.abandon()  # where the cluster hangs
        await self._detach()
        # The topics of an id that somebody else has are theirs to delete; version 1 never knows.
        is_ours = self._version > 1 and presence.has_been_in and not presence.is_taken
        await self._own.delete(self._tidier, all_=is_ours)

    def fail(self, error: QdError) -> None:
        """The session is over for good: every stream raises the error."""
        if self._failure is None:
            self._failure = error
        self._changed.set()
        if self._reader is not None:
            for key in list(self._reader.inboxes):
                self._reader.close(key, self._failure)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except QdError as error:
            self.fail(error)
        except Exception as error:
            _log.exception("client %d failed by a defect", self.client_id)
            self.fail(QdClientError(f"client {self.client_id} failed by a defect: {error!r}"))

    # --- the topics -------------------------------------------------------------------

    async def _attach(self, may_exist: bool) -> bool:
        """Read the topics from their ends on, and see to it that the gateway knows of us."""
        existed = await self._own.create(may_exist=may_exist)
        data, self._errors = await self._own.consumers()
        self._reader = DataReader(self._fluvio, data, self._on_word)
        self._reading = [
            asyncio.create_task(self._reader.run()),
            asyncio.create_task(self._read_errors(self._errors)),
        ]
        self._act(self._presence.begin(self._clock(), is_shared=existed))
        return existed

    async def _detach(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        self._reading.clear()
        self._error_came.set()
        reader, self._reader = self._reader, None
        errors, self._errors = self._errors, None
        if reader is not None:
            await reader.aclose()
        if errors is not None:
            await errors.aclose()

    async def _keep_reading(self) -> None:
        """Wait until a topic cannot be read, and read them all anew, for ever."""
        while True:
            error = await self._unreadable()
            _log.warning("client %d: %s; reading its topics anew", self.client_id, error)
            self._act(self._presence.on_detached(error))
            if self._failure is not None:
                return
            await self._detach()
            pause_s = RETRY_SECONDS_FIRST
            while self._reader is None:
                try:
                    await self._attach(may_exist=True)
                except FluvioError as failed:
                    if isinstance(failed, _LASTING) and not failed.retriable:
                        raise
                    self._trouble = failed
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, RETRY_SECONDS_MAX)

    async def _unreadable(self) -> QdError:
        """The error that ended the reading of a topic."""
        done, _ = await asyncio.wait(self._reading, return_when=asyncio.FIRST_COMPLETED)
        error = next(iter(done)).exception()
        if isinstance(error, FluvioError) and (error.retriable or not isinstance(error, _LASTING)):
            return error
        raise error or QdClientError(f"client {self.client_id}: its topics ended")

    # --- what arrives -----------------------------------------------------------------

    def _on_word(self, word: Word) -> None:
        if word.client_id != self.client_id:
            return
        now = self._clock()
        if isinstance(word, Heartbeat):
            self._act(self._presence.on_heartbeat(word.epoch, now))
        else:
            self._act(self._presence.on_challenge(word.nonce, now))

    async def _read_errors(self, consumer: Consumer) -> None:
        async for record in consumer:
            message: Message | None
            try:
                message = decode(record.value)
            except DecodeError as error:
                _log.warning("ignored a record of %s: %s", consumer.topic, error)
                message = None
            if isinstance(message, ClientError) and message.client_id == self.client_id:
                self._act(self._presence.on_error(message, self._clock()))
            elif isinstance(message, DataError) and message.client_id == self.client_id:
                self._on_data_error(message)
            self._error_came.set()

    def _on_data_error(self, message: DataError) -> None:
        assert self._reader is not None
        if self._version > 1 and message.stream_id == NO_STREAM:
            refusal = data_refusal("a request in its name", message)
            _log.warning("client %d: %s", self.client_id, refusal)
            return
        for key, request in list(self._requests.items()):
            if self._is_meant(key, message) and key in self._reader.inboxes:
                self._reader.inboxes[key].fail(data_refusal(str(request), message))

    def _is_meant(self, key: StreamKey, message: DataError) -> bool:
        """Whose error it is. Version 1 does not say: the stream's that has not begun, or all's."""
        if message.stream_id != NO_STREAM:
            return key.stream_id == message.stream_id
        assert self._reader is not None
        waiting = [key for key, inbox in self._reader.inboxes.items() if not inbox.begun.is_set()]
        return key in waiting or not waiting

    # --- what is done about it --------------------------------------------------------

    def _act(self, news: Sequence[News]) -> None:
        for one in news if self._failure is None else ():
            match one:
                case Send(message):
                    self._outgoing = message
                    if isinstance(message, Heartbeat):
                        self._acks.repeat()
                    self._post.set()
                case CheckErrors():
                    self._start(self._check_errors())
                case CameIn():
                    self._may_have_session = True
                    self._trouble = None
                case Interrupted(error):
                    self._trouble = error
                    if self._reader is not None:
                        self._reader.interrupt(error)
                case Refuse(error):
                    self.fail(error)
        self._changed.set()

    async def _check_errors(self) -> None:
        """Read the error topic up to its present end."""
        with contextlib.suppress(FluvioError):  # asked for again where it is still of interest
            consumer = self._errors
            if consumer is None:
                return
            end = await self._fluvio.end_offset(consumer.topic)
            while consumer is self._errors and consumer.next_offset < end:
                self._error_came.clear()
                await self._error_came.wait()
            self._act(self._presence.on_checked(self._clock()))

    async def _keep_sending(self) -> None:
        """Send what is due; what could not be sent is due again soon, by itself."""
        is_failing = False
        while True:
            await self._post.wait()
            self._post.clear()
            message, self._outgoing = self._outgoing, None
            due = [*([] if message is None else [message]), *self._acks.due()]
            if not due:
                continue
            try:
                await self._control.send(*due)
                is_failing = False
            except QdError as error:
                if not self._presence.has_been_in:
                    raise
                if not is_failing:
                    _log.warning("client %d could not be heard: %s", self.client_id, error)
                is_failing = True

    async def _keep_ticking(self) -> None:
        """Let time pass for the presence, and watch that the gateway is heard."""
        tick_s = min(self._lease_s / TICKS_PER_LEASE, TICK_SECONDS_MAX)
        before = self._clock()
        while self._failure is None:
            await asyncio.sleep(tick_s)
            now = self._clock()
            is_late, before = now - before > LATE_TICKS * tick_s, now
            if self._reader is not None and is_late:
                self._reader.forgive(now)  # the program kept its event loop: nobody could listen
            elif self._version > 1 and self._presence.is_in and self._silent_s() > self._lease_s:
                await self._judge_silence()
                before = self._clock()
            self._act(self._presence.on_tick(self._clock()))

    def _silent_s(self) -> float:
        return 0.0 if self._reader is None else self._reader.silent_s(self._clock())

    async def _judge_silence(self) -> None:
        """Nothing came for a lease: is it the gateway or the cluster?"""
        error = await self._silence()
        if self._silent_s() > self._lease_s:
            _log.warning("%s", error)
            self._act(self._presence.on_silence(error, self._clock()))

    async def _silence(self) -> QdError:
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                await self._fluvio.end_offset(CONTROL)
        except FluvioError as error:
            return error
        except TimeoutError:
            return GatewayLost(
                f"client {self.client_id} heard nothing for {self._lease_s:g} s, neither from "
                f"the gateway nor from the cluster at {self._fluvio.endpoint}; look at both"
            )
        return GatewayLost(
            f"the gateway fell silent: client {self.client_id} heard nothing for "
            f"{self._lease_s:g} s, while the cluster at {self._fluvio.endpoint} answers; the "
            "gateway died or hangs: look at its log, and start it again"
        )

    # --- streams ----------------------------------------------------------------------

    @property
    def trouble(self) -> QdError | None:
        """What keeps the client from its session, if anything."""
        return self._failure or (None if self._presence.is_in else self._trouble)

    async def ready(self) -> None:
        """Wait until streams can be asked for; raises where that will never be.

        Raises
        ------
        QdError
            The session is over for good.
        """
        while self._failure is None and not self._presence.is_in:
            self._changed.clear()
            await self._changed.wait()
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    @property
    def epoch(self) -> int:
        """Which gateway process serves the client; each takes another number."""
        return self._presence.epoch

    async def served_anew(self, epoch: int, seconds: float) -> None:
        """Wait for another gateway process than that of an epoch, which has given the client up.

        What is asked for before would be interrupted once more. After a lease it is known
        whether any gateway is there, so it is not waited for much longer.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, 2 * self._lease_s + PROBE_SECONDS_MAX)):
                while self.epoch == epoch and self._presence.is_in and self._failure is None:
                    self._changed.clear()
                    await self._changed.wait()

    async def start_stream(
        self, request: StreamRequest, instead_of: StreamRequest | None = None
    ) -> Inbox:
        """Ask for a stream, and for the end of another; its records come to the inbox.

        Raises
        ------
        UsageError
            Version 1 cannot tell a second stream of the same symbol and kind from the first.
        QdError
            It could not be asked for.
        """
        await self.ready()
        if self._reader is None:
            raise self._trouble or GatewayLost(f"client {self.client_id} does not read its topics")
        key = key_of_request(request)
        if key in self._requests:
            raise UsageError(
                f"{request} is running already, and version 1 cannot tell two of them apart; "
                "end the first one, or use version 2"
            )
        self._requests[key] = request
        inbox = self._reader.open(key)
        messages = [] if instead_of is None else [instead_of.stop_message()]
        try:
            await self._ask(inbox, *messages, request.start_message())
        except BaseException:
            self._forget(key, request)
            raise
        return inbox

    async def _ask(self, inbox: Inbox, *messages: Message) -> None:
        if self._version > 1:
            await self._control.send(*messages)
            return
        async with self._starting:  # so that an error, which names no stream, is this one's
            await self._control.send(*messages)
            await inbox.begun.wait()

    def took(self, request: StreamRequest, next_sequence: int) -> None:
        """The user has taken all rows of a stream before this one."""
        if request.window_rows and self._acks.took(request, next_sequence):
            self._post.set()

    def forget(self, request: StreamRequest) -> None:
        """Take no more records of a stream."""
        self._forget(key_of_request(request), request)

    async def stop(self, request: StreamRequest) -> None:
        """Have the gateway end a stream, if it can be told."""
        if self._failure is None and self._presence.is_in:
            await self._tidier.attempt(
                self._control.send(request.stop_message()), f"stop {request}"
            )

    def _forget(self, key: StreamKey, request: StreamRequest) -> None:
        self._requests.pop(key, None)
        self._acks.forget(request.stream_id)
        if self._reader is not None:
            self._reader.close(key, UsageError(f"{request} was ended by its reader"))
