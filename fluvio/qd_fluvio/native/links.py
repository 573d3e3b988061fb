"""The links of one connection to a cluster: one for each SPU, opened when first needed.

It counts who uses a link. One that is lost, that did not answer in time, or that carries too
many streams which nobody reads any more (the protocol has no way to end one), is given to
nobody new.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from qd_fluvio.errors import FluvioError
from qd_fluvio.limits import Limits
from qd_fluvio.native.link import Link, open_link
from qd_fluvio.servers import Address, Servers

# Each makes the SPU hold a little memory, and send one answer that is dropped here.
ABANDONED_STREAMS_MAX = 64
# Beside the records of an answer; and a whole batch, which some servers send whatever is asked.
ANSWER_BYTES_MORE = 4 * 1024 * 1024


class Links:
    """Opens, shares and closes links.

    Parameters
    ----------
    servers : Servers
        How servers are reached.
    limits : Limits
        How much is fetched at once.
    """

    def __init__(self, servers: Servers, limits: Limits) -> None:
        self._servers = servers
        self._frame_bytes_max = limits.fetch_bytes_max + ANSWER_BYTES_MORE
        self._links: dict[Address, Link] = {}
        self._all: set[Link] = set()
        self._opening: defaultdict[Address, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closed = False

    async def take(self, address: Address) -> Link:
        """A link to this SPU; give it back."""
        async with self._opening[address]:
            link = self._links.get(address)
            if link is None or not _serves(link):
                link = await self._open(address)
            link.users += 1
            return link

    def give_back(self, link: Link) -> None:
        """One user less."""
        link.users -= 1
        if link.error or (not link.users and self._links.get(link.address) is not link):
            self._all.discard(link)
            link.close()

    def close(self) -> None:
        """Close them all."""
        self._closed = True
        for link in list(self._all):  # who is told may give one back
            link.close()

    async def _open(self, address: Address) -> Link:
        link = await open_link(self._servers, address, self._frame_bytes_max)
        if self._closed:
            link.close()
            raise FluvioError("the connection to the cluster is closed; open another")
        old = self._links.get(address)
        self._links[address] = link
        self._all.add(link)
        if old is not None and not old.users:
            self._all.discard(old)
            old.close()
        return link


def _serves(link: Link) -> bool:
    return (
        link.error is None and not link.suspect and link.abandoned_streams <= ABANDONED_STREAMS_MAX
    )
