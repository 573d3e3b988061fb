"""What keeps the symbol master from starting.

::

    QdError
     └─ SymdbError
         └─ CannotListen   the address it was told to listen on is taken or not this machine's

Errors of requests are gRPC statuses (`qd_symdb.master`).
"""

from __future__ import annotations

from qd_schemas.errors import QdError


class SymdbError(QdError):
    """Anything that keeps the symbol master from starting."""


class CannotListen(SymdbError):
    """The address it was told to listen on is taken, or is not this machine's."""
