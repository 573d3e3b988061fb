"""A symbol master over the session's database, and channels to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from grpclib.client import Channel

from qd_schemas.symdb_grpc import SymbolMasterStub
from qd_store.connections import connect
from qd_store.migrate import migrate
from support.processes import running
from symdb.markets import channel_to, markets_in


@pytest.fixture(scope="session")
def migrated(database_dsn: str) -> str:
    """The DSN of a database that has the tables."""
    with connect(database_dsn) as connection:
        migrate(connection)
    return database_dsn


@pytest.fixture(scope="session")
def endpoint(database_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    env = {"QD_SYMDB": "127.0.0.1:0", "QD_DATABASE": database_dsn}
    with running("qd_symdb", folder=tmp_path_factory.mktemp("symdb"), env=env) as ready:
        yield str(ready["endpoint"])


@pytest.fixture
async def channel(endpoint: str) -> AsyncIterator[Channel]:
    async with channel_to(endpoint) as found:
        yield found


@pytest.fixture
async def stub(channel: Channel, database_dsn: str) -> AsyncIterator[SymbolMasterStub]:
    async with markets_in(database_dsn):
        yield SymbolMasterStub(channel)
