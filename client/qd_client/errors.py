"""Every error that users of the client meet, each with what to do.

::

    QdError
     ├─ QdClientError
     │   ├─ UsageError             own mistake: a closed client, an id or range that makes no sense
     │   ├─ Refused                the gateway answered no
     │   │   ├─ AlreadyLoggedIn     the id is in use
     │   │   ├─ LoginFailed         the gateway takes no more sessions
     │   │   ├─ LogoutFailed
     │   │   ├─ NotLoggedIn         (retriable) the gateway does not know this session
     │   │   ├─ DataTypeUnknown     no such data type or resolution
     │   │   ├─ DataUnavailable     no rows for what was asked
     │   │   ├─ EncodingFailed
     │   │   ├─ SymbolUnknown       no such market
     │   │   ├─ SendFailed          (retriable) the gateway could not write to this client's topic
     │   │   ├─ ChannelFailed       (retriable) no database or no free stream at the gateway
     │   │   └─ RefusedUnknown      an answer of a newer gateway
     │   ├─ GatewayUnavailable      (retriable) nobody answered the login
     │   ├─ GatewayLost             (retriable) the gateway fell silent
     │   ├─ StreamIncomplete        (retriable) data are missing, or the stream was ended early
     │   ├─ ExchangeNotFound        symdb knows no such exchange
     │   ├─ SymbolNotFound          symdb knows no such symbol on the exchange
     │   ├─ SymdbTlsFailed          no secure connection to symdb can be made
     │   └─ SymdbUnavailable        (retriable) symdb, or its database, cannot be asked
     └─ qd_fluvio.errors            the cluster: ClusterUnreachable, ConnectionLost, …
"""

from __future__ import annotations

from qd_schemas.errors import QdError


class QdClientError(QdError):
    """Anything that the client reports by itself."""


class UsageError(QdClientError):
    """The program used the client in a way that cannot work."""


class Refused(QdClientError):
    """The gateway answered that it will not do what was asked."""


class AlreadyLoggedIn(Refused):
    """Another session, perhaps of a client that died, has this client id."""


class LoginFailed(Refused):
    """The gateway takes no further session."""


class LogoutFailed(Refused):
    """The gateway could not log this client out."""


class NotLoggedIn(Refused):
    """The gateway has no session for this client."""

    retriable = True


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


class RefusedUnknown(Refused):
    """A refusal whose reason this client does not know."""


class GatewayUnavailable(QdClientError):
    """No gateway answered the login."""

    retriable = True


class GatewayLost(QdClientError):
    """The gateway said nothing for a whole lease."""

    retriable = True


class StreamIncomplete(QdClientError):
    """A stream whose data are not all there: a gap, a wrong count, or an early end."""

    retriable = True


class ExchangeNotFound(QdClientError):
    """Symdb knows no such exchange."""


class SymbolNotFound(QdClientError):
    """Symdb knows no such symbol, or symbol id, on the exchange."""


class SymdbTlsFailed(QdClientError):
    """No secure connection to symdb can be made: a certificate, or a setting, is not right."""


class SymdbUnavailable(QdClientError):
    """Symdb cannot be reached, did not answer in time, or cannot ask its database."""

    retriable = True
