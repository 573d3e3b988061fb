"""One login at the gateway: the client's topics, heartbeats, and what the gateway refuses.

It carries streams' records to their inboxes and knows nothing of their content.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from qd_client.control import ControlSender
from qd_client.demux import StreamKey, key_of_request
from qd_client.errors import (
    AlreadyLoggedIn,
    GatewayLost,
    GatewayUnavailable,
    NotLoggedIn,
    QdClientError,
    UsageError,
)
from qd_client.inbox import Inbox
from qd_client.limits import (
    HEARTBEATS_PER_LEASE,
    LOGIN_SECONDS_MAX,
    LOGIN_SECONDS_V1,
    PROBE_SECONDS_MAX,
    TIDY_SECONDS_MAX,
)
from qd_client.reader import DataReader
from qd_client.refusals import client_refusal, data_refusal
from qd_client.request import StreamRequest
from qd_fluvio import Consumer, Fluvio, FluvioError, Offset, TopicExists, settings_of
from qd_schemas.codec import decode
from qd_schemas.errors import DecodeError, QdError
from qd_schemas.messages import (
    ClientError,
    ClientLogin,
    ClientLogout,
    DataError,
    Heartbeat,
    Message,
)
from qd_schemas.topics import CLIENT_TOPIC, CONTROL, client_topics
from qd_schemas.wire import NO_STREAM

_log = logging.getLogger("qd_client.session")


class Session:
    """A client id's session.

    Parameters
    ----------
    fluvio : Fluvio
        The connection.
    client_id : int
        The id, which only this session uses.
    lease_ms : int
        How long either side may be silent.
    version : int
        1 speaks the reference's protocol: no heartbeats, no lease.
    """

    def __init__(self, fluvio: Fluvio, client_id: int, lease_ms: int, version: int) -> None:
        self.client_id = client_id
        self._fluvio = fluvio
        self._topics = client_topics(client_id)
        self._lease_ms = lease_ms
        self._version = version
        self._created: list[str] = []
        self._control = ControlSender(fluvio, version)
        self._reader: DataReader | None = None
        self._errors: Consumer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._requests: dict[StreamKey, StreamRequest] = {}
        self._starting = asyncio.Lock()
        self._answer = asyncio.Event()  # a heartbeat, a refusal or a failure came
        self._error_came = asyncio.Event()
        self._refusal: int | None = None  # of the login
        self._failure: QdError | None = None
        self._beat_now = asyncio.Event()
        self._is_doubted = False
        self._is_logged_in = False
        self._may_have_session = False
        self._is_mute = False  # the cluster: it let a step of tidying up wait for too long

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
        existed = await self._create_topics(may_exist)
        await self._start_reading()
        # From here on the gateway may have a session, unless the id can be somebody else's.
        self._may_have_session = not existed
        seconds = LOGIN_SECONDS_MAX if self._version > 1 else LOGIN_SECONDS_V1
        await self._answered(ClientLogin(self.client_id, self._lease_ms), seconds)
        if existed and self._version > 1:
            await self._make_sure()
        self._is_logged_in = self._may_have_session = True
        if self._version > 1:
            self._start(self._beat())

    async def close(self) -> None:
        """Log out and delete the topics; never fails, but logs what could not be done.

        A cluster that hangs keeps nobody waiting for longer than one step.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.fail(UsageError(f"client {self.client_id} is closed; open a new one"))
        if self._may_have_session and self._refusal is None:
            await self._tidy(self._control.send(ClientLogout(self.client_id)), "log out")
        await self._tidy(self._control.aclose(), f"close its producer of {CONTROL}")
        if self._reader is not None:
            await self._reader.aclose()
        if self._errors is not None:
            await self._errors.aclose()
        # The topics of an id that somebody else has are theirs to delete.
        doomed = self._topics.all if self._is_logged_in else self._created
        await asyncio.gather(*(self._delete(topic) for topic in doomed))

    def fail(self, error: QdError) -> None:
        """The session is over: every stream raises the error."""
        if self._failure is None:
            self._failure = error
        self._answer.set()
        if self._reader is not None:
            for key in list(self._reader.inboxes):
                self._reader.close(key, error)

    async def _delete(self, topic: str) -> None:
        await self._tidy(self._fluvio.delete_topic(topic, missing_ok=True), f"delete {topic}")

    async def _try(self, step: Coroutine[Any, Any, None], what: str) -> None:
        try:
            await step
        except QdError as error:
            _log.warning("client %d could not %s: %s", self.client_id, what, error)

    async def _tidy(self, step: Coroutine[Any, Any, None], what: str) -> None:
        """Try a step that the gateway and the cluster can do without."""
        if self._is_mute:
            step.close()
            return
        try:
            async with asyncio.timeout(TIDY_SECONDS_MAX):
                await self._try(step, what)
        except TimeoutError:
            self._is_mute = True
            _log.warning(
                "client %d could not %s: the cluster at %s did not answer within %g s; leaving "
                "the rest to its lease and to its topics' retention",
                *(self.client_id, what, self._fluvio.endpoint, TIDY_SECONDS_MAX),
            )

    async def _create_topics(self, may_exist: bool) -> bool:
        """Create the three topics; True where one was left by a client that died."""
        existed = False
        for topic in self._topics.all:
            try:
                await self._fluvio.create_topic(topic, settings_of(CLIENT_TOPIC))
                self._created.append(topic)
            except TopicExists:
                if not may_exist:
                    raise
                existed = True
        return existed

    async def _start_reading(self) -> None:
        silence_s = self._lease_ms / 1_000 if self._version > 1 else None
        data = await self._consumer(self._topics.data)
        self._reader = DataReader(self._fluvio, data, silence_s, self._on_heartbeat)
        self._errors = await self._consumer(self._topics.error)
        self._start(self._read_data(self._reader))
        self._start(self._read_errors(self._errors))

    async def _consumer(self, topic: str) -> Consumer:
        """A consumer from the topic's end, fixed before anything is asked for."""
        end = await self._fluvio.end_offset(topic)
        return await self._fluvio.consumer(topic, offset=Offset.absolute(end))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(self._guarded(work)))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except QdError as error:
            self.fail(error)
        except Exception as error:
            _log.exception("client %d failed by a defect", self.client_id)
            self.fail(QdClientError(f"client {self.client_id} failed by a defect: {error!r}"))

    # --- login ------------------------------------------------------------------------

    async def _make_sure(self) -> None:
        """Make sure that it was this login which was answered.

        The topics existed. If their owner lives, it was perhaps its heartbeat that was
        answered. The gateway answers one client in order, so once a later heartbeat is
        answered, a refusal of the login is on the error topic.
        """
        await self._answered(Heartbeat(self.client_id), LOGIN_SECONDS_MAX)
        assert self._errors is not None
        end = await self._fluvio.end_offset(self._topics.error)
        async with asyncio.timeout(LOGIN_SECONDS_MAX):
            while self._errors.next_offset < end:
                self._error_came.clear()
                await self._error_came.wait()
        if self._refusal is not None:
            raise client_refusal(self.client_id, self._refusal)

    async def _answered(self, request: Message, seconds: float) -> None:
        """Send a request and wait for the gateway's next heartbeat.

        Raises
        ------
        Refused
            The gateway refused the login.
        GatewayUnavailable
            It did not answer, which in version 1 is its yes.
        """
        self._answer.clear()  # first: the answer may come while `send` still waits
        await self._control.send(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._answer.wait()
        if self._failure is not None:
            raise self._failure
        if self._refusal is not None:
            raise client_refusal(self.client_id, self._refusal)
        if self._version > 1 and not self._answer.is_set():
            raise GatewayUnavailable(
                f"no gateway answered client {self.client_id} on {CONTROL} at "
                f"{self._fluvio.endpoint} within {seconds:g} s; start one with `qd up` or "
                "`python -m qd_gateway`, or look at its log"
            )

    # --- what arrives -----------------------------------------------------------------

    async def _read_data(self, reader: DataReader) -> None:
        try:
            await reader.run()
        except TimeoutError:
            raise await self._silence() from None

    async def _silence(self) -> QdError:
        """Nothing came for a lease: is it the gateway or the cluster?"""
        try:
            async with asyncio.timeout(PROBE_SECONDS_MAX):
                await self._fluvio.end_offset(CONTROL)
        except FluvioError as error:
            return error
        except TimeoutError:
            return GatewayLost(
                f"client {self.client_id} heard nothing for {self._lease_ms} ms, neither from "
                f"the gateway nor from the cluster at {self._fluvio.endpoint}; look at both"
            )
        return GatewayLost(
            f"the gateway fell silent: client {self.client_id} heard nothing for "
            f"{self._lease_ms} ms, while the cluster at {self._fluvio.endpoint} answers; the "
            "gateway died or hangs: look at its log, start it again, and open a new client"
        )

    def _on_heartbeat(self) -> None:
        self._is_doubted = False
        self._answer.set()

    async def _read_errors(self, consumer: Consumer) -> None:
        async for record in consumer:
            message: Message | None
            try:
                message = decode(record.value)
            except DecodeError as error:
                _log.warning("ignored a record of %s: %s", consumer.topic, error)
                message = None
            if isinstance(message, ClientError) and message.client_id == self.client_id:
                self._on_client_error(message.client_error_type)
            elif isinstance(message, DataError) and message.client_id == self.client_id:
                self._on_data_error(message)
            self._error_came.set()

    def _on_client_error(self, found: int) -> None:
        error = client_refusal(self.client_id, found)
        if not self._is_logged_in:
            if not isinstance(error, NotLoggedIn):  # which is the answer to an earlier request
                self._refusal = found
                self._answer.set()
        elif isinstance(error, AlreadyLoggedIn):
            _log.warning("client %d: somebody else tried to log in with its id", self.client_id)
        elif self._version > 1 and not self._is_doubted:
            # It may be the answer to somebody else's question: ask again before giving up.
            self._is_doubted = True
            self._beat_now.set()
        else:
            self.fail(error)

    def _on_data_error(self, message: DataError) -> None:
        assert self._reader is not None
        for key, request in list(self._requests.items()):
            if self._is_meant(key, message) and key in self._reader.inboxes:
                error = data_refusal(str(request), message.data_error_type)
                self._reader.inboxes[key].fail(error)

    def _is_meant(self, key: StreamKey, message: DataError) -> bool:
        """Whose error it is. Version 1 does not say: the stream's that has not begun, or all's."""
        if message.stream_id != NO_STREAM:
            return key.stream_id == message.stream_id
        assert self._reader is not None
        waiting = [key for key, inbox in self._reader.inboxes.items() if not inbox.begun.is_set()]
        return key in waiting or not waiting

    async def _beat(self) -> None:
        """Send heartbeats; a failed one is logged, the watchdog judges."""
        interval_s = self._lease_ms / 1_000 / HEARTBEATS_PER_LEASE
        while True:
            await self._try(self._control.send(Heartbeat(self.client_id)), "send a heartbeat")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._beat_now.wait()
            self._beat_now.clear()

    # --- streams ----------------------------------------------------------------------

    async def start_stream(self, request: StreamRequest) -> Inbox:
        """Ask for a stream; its records come to the inbox.

        Raises
        ------
        UsageError
            Version 1 cannot tell a second stream of the same symbol and kind from the first.
        """
        if self._failure is not None:
            raise self._failure
        assert self._reader is not None
        key = key_of_request(request)
        if key in self._requests:
            raise UsageError(
                f"{request} is running already, and version 1 cannot tell two of them apart; "
                "end the first one, or use version 2"
            )
        self._requests[key] = request
        inbox = self._reader.open(key)
        try:
            await self._ask(request, inbox)
        except BaseException:
            self._forget(key, request)
            raise
        return inbox

    async def _ask(self, request: StreamRequest, inbox: Inbox) -> None:
        if self._version > 1:
            await self._control.send(request.start_message())
            return
        async with self._starting:  # so that an error, which names no stream, is this one's
            await self._control.send(request.start_message())
            await inbox.begun.wait()

    async def end_stream(self, request: StreamRequest, *, stop: bool) -> None:
        """Forget a stream; `stop` tells the gateway to end it."""
        self._forget(key_of_request(request), request)
        if stop and self._failure is None:
            await self._tidy(self._control.send(request.stop_message()), f"stop {request}")

    def _forget(self, key: StreamKey, request: StreamRequest) -> None:
        self._requests.pop(key, None)
        if self._reader is not None:
            self._reader.close(key, UsageError(f"{request} was ended by its reader"))
