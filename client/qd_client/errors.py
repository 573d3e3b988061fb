"""Every error that users of the client meet, each with what to do.

::

    QdError
     ├─ QdClientError
     │   ├─ UsageError             own mistake: a closed client, an id or range that makes no sense
     │   ├─ LibraryMissing         own mistake: what was asked for needs a library to be installed
     │   ├─ NoStack                nobody said where the cluster is, and no stack runs
     │   ├─ StackUnreadable        what `qd up` remembers of its stack cannot be read
     │   ├─ Refused                the gateway answered no; `reason` and `limit` say more
     │   │   ├─ AlreadyLoggedIn     the id is in use
     │   │   ├─ LoginFailed         the gateway opens no session
     │   │   │   ├─ SessionsFull     (retriable) it has as many as it takes
     │   │   │   ├─ TokenMissing     it asks for a proof, and this client was given no token
     │   │   │   ├─ TokenUnknown     it knows no token for this id, and wants one
     │   │   │   ├─ TokenRefused     the token is not this id's
     │   │   │   └─ VersionRefused   it does not speak version 1, or not with this id
     │   │   ├─ LogoutFailed
     │   │   ├─ NotLoggedIn         (retriable) the gateway does not know this session
     │   │   ├─ SessionEnded        an operator ended the session, or the stream
     │   │   ├─ DataTypeUnknown     no such data type or resolution
     │   │   ├─ DataUnavailable     no rows for what was asked
     │   │   ├─ EncodingFailed
     │   │   ├─ SymbolUnknown       no such market
     │   │   ├─ SendFailed          (retriable) the gateway could not write to this client's topic
     │   │   ├─ ChannelFailed       (retriable) the gateway has no way to the data now
     │   │   │   ├─ StreamsFull      it runs as many streams as it may, or as this client may have
     │   │   │   └─ TooFast          this client asks too often
     │   │   └─ RefusedUnknown      an answer of a newer gateway
     │   ├─ Lost                   (retriable) a connection is gone, or there was none
     │   │   ├─ GatewayUnavailable  nobody answered the login
     │   │   └─ GatewayLost         the gateway fell silent
     │   ├─ StreamIncomplete       (retriable) data are missing: `expected` and `found` say which
     │   │   └─ StreamInterrupted   the gateway stopped, was started again, or gave the client away
     │   ├─ ExchangeNotFound        symdb knows no such exchange
     │   ├─ SymbolNotFound          symdb knows no such symbol on the exchange
     │   ├─ SymdbTlsFailed          no secure connection to symdb can be made
     │   └─ SymdbUnavailable        (retriable) symdb, or its database, cannot be asked
     └─ qd_fluvio.errors            the cluster: ClusterUnreachable, ConnectionLost, …

A client deals with what passes by itself: it comes back and asks again from where a stream was,
until its ``patience_s`` is over. So whoever meets NotLoggedIn, SendFailed, ChannelFailed, a `Lost`,
StreamInterrupted or an error of the cluster has waited for that long, and the error's text says
from where to ask again. Version 1 has no way to ask again: it raises them at once.
"""

from __future__ import annotations

from qd_schemas.enums import Reason
from qd_schemas.errors import QdError
from qd_schemas.wire import NO_COUNT


class QdClientError(QdError):
    """Anything that the client reports by itself."""


class UsageError(QdClientError):
    """The program used the client in a way that cannot work."""


class LibraryMissing(QdClientError):
    """What was asked for needs a library that is not installed."""


class NoStack(QdClientError):
    """Nobody said where the cluster is, and no stack runs."""


class StackUnreadable(QdClientError):
    """What ``qd up`` remembers of its stack cannot be read."""


class Refused(QdClientError):
    """The gateway answered that it will not do what was asked.

    Attributes
    ----------
    reason : int
        Why, one of `Reason` or one that only a newer gateway knows; NONE where it did not say.
    limit : int or None
        The number that was hit, if one was.
    """

    def __init__(self, text: str, reason: int = Reason.NONE, limit: int = NO_COUNT) -> None:
        super().__init__(text)
        self.reason = reason
        self.limit = None if limit == NO_COUNT else limit


class AlreadyLoggedIn(Refused):
    """Another session, perhaps of a client that died, has this client id."""


class LoginFailed(Refused):
    """The gateway opens no session."""


class SessionsFull(LoginFailed):
    """The gateway has as many sessions as it takes."""

    retriable = True


class TokenMissing(LoginFailed):
    """The gateway asks who this is, and the client was given no token."""


class TokenUnknown(LoginFailed):
    """The gateway takes clients with a token only, and knows none for this id."""


class TokenRefused(LoginFailed):
    """The gateway did not accept the proof: the token is not this id's."""


class VersionRefused(LoginFailed):
    """The gateway does not speak version 1, or not with this id."""


class LogoutFailed(Refused):
    """The gateway could not log this client out."""


class NotLoggedIn(Refused):
    """The gateway has no session for this client."""

    retriable = True


class SessionEnded(Refused):
    """An operator ended the session or the stream; the client does not begin it again."""


class DataTypeUnknown(Refused):
    """The gateway does not know the data type or the resolution."""


class DataUnavailable(Refused):
    """There is no row for what was asked."""


class EncodingFailed(Refused):
    """The gateway could not encode the data."""


class SymbolUnknown(Refused):
    """There is no such market."""


class SendFailed(Refused):
    """The gateway could not write to this client's data topic."""

    retriable = True


class ChannelFailed(Refused):
    """The gateway has no way to the data now: its database is down or its streams are taken."""

    retriable = True


class StreamsFull(ChannelFailed):
    """The gateway runs as many streams as it may, in all or for this client."""


class TooFast(ChannelFailed):
    """This client asks more often than it may."""


class RefusedUnknown(Refused):
    """A refusal whose reason this client does not know."""


class Lost(QdClientError):
    """A connection is gone, or there was none."""

    retriable = True


class GatewayUnavailable(Lost):
    """No gateway answered the login."""


class GatewayLost(Lost):
    """The gateway said nothing for a whole lease."""


class StreamIncomplete(QdClientError):
    """A stream whose data are not all there: a gap, a wrong count, or an early end.

    Attributes
    ----------
    expected, found : int or None
        The sequence that had to come, and the one that came instead; None where it is no gap.
    """

    retriable = True

    def __init__(self, text: str, expected: int | None = None, found: int | None = None) -> None:
        super().__init__(text)
        self.expected = expected
        self.found = found


class StreamInterrupted(StreamIncomplete):
    """The gateway stopped, was started again, or gave this client to another gateway."""


class ExchangeNotFound(QdClientError):
    """Symdb knows no such exchange."""


class SymbolNotFound(QdClientError):
    """Symdb knows no such symbol, or symbol id, on the exchange."""


class SymdbTlsFailed(QdClientError):
    """No secure connection to symdb can be made: a certificate, or a setting, is not right."""


class SymdbUnavailable(QdClientError):
    """Symdb cannot be reached, did not answer in time, or cannot ask its database."""

    retriable = True
