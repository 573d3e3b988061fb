"""Topics and offsets: what is asked of the SC and the SPUs in their own protocol.

The official client's administration blocks, hangs on a connection that died, and does not
tell a topic's settings or a partition's offsets at all. Calls here take short connections, or
one that the call before has left: nothing has to be kept alive, and a dead cluster is noticed by
the next call. No records pass through this module.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from qd_fluvio.api import CommittedOffset, PartitionInfo, TopicInfo, TopicSettings
from qd_fluvio.errors import ConnectionLost, FluvioError, TopicNotFound
from qd_fluvio.layouts import partition_info, topic_info, topic_spec
from qd_fluvio.refusals import refusal
from qd_fluvio.servers import Address, Server, Servers
from qd_fluvio.wire import admin, data, metadata
from qd_fluvio.wire.codec import Labelled
from qd_schemas.specs import FluvioSettings, SpuAddress

# The system's own topic in which the cluster keeps committed offsets.
_OFFSETS_TOPIC, _OFFSETS_PARTITION = "consumer-offset", 0
_Ends = dict[str, tuple[int, int]]  # a partition's name: its first and its next offset


@dataclass(frozen=True, slots=True)
class Bounds:
    """The oldest offset a partition still has, and the next one it will give.

    `leader` is the SPU that says so, `question` the bytes it was asked with, and `replicas` how
    many SPUs keep the partition. The end is the one that all of them have reached.
    """

    start: int
    end: int
    leader: Address
    question: bytes = b""
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class _Place:
    """The SPU that leads a partition, by its id, and how many keep it."""

    leader: int
    replicas: int


class ControlPlane:
    """Administers one cluster. It sets no deadlines: callers do.

    Parameters
    ----------
    cluster : FluvioSettings
        The cluster.
    keeps : bool
        See `Servers`.
    """

    def __init__(self, cluster: FluvioSettings, *, keeps: bool = False) -> None:
        self._endpoint = cluster.endpoint
        self._is_inside = cluster.spu_address is SpuAddress.LOCAL
        self.servers = Servers(cluster, keeps=keeps)

    async def platform_version(self) -> str:
        """The cluster's version; proves that a Fluvio SC answers."""
        async with self.servers.server(self.servers.sc) as sc:
            return sc.platform_version

    async def create_topic(
        self, name: str, settings: TopicSettings, *, dry_run: bool = False
    ) -> None:
        """Have the SC create a topic; it answers when all partitions have their places.

        Raises
        ------
        TopicExists, InvalidTopicName, FluvioError
            The SC refuses.
        """
        topic = admin.CreateTopic(name, dry_run, timeout_ms=None, spec=topic_spec(settings))
        async with self.servers.server(self.servers.sc) as sc:
            answer = await sc.ask(
                admin.CREATE, admin.CreateRequest(Labelled(metadata.TOPIC, topic))
            )
        self._require_done(answer, f"create topic {name!r}")

    async def delete_topic(self, name: str) -> None:
        """Have the SC delete a topic; `TopicNotFound` if there is none."""
        topic = Labelled(metadata.TOPIC, admin.DeleteByName(name))
        async with self.servers.server(self.servers.sc) as sc:
            answer = await sc.ask(admin.DELETE, admin.DeleteRequest(topic))
        self._require_done(answer, f"delete topic {name!r}")

    def _require_done(self, answer: admin.StatusResponse, doing: str) -> None:
        if answer.error:
            raise refusal(answer.error, f"{doing} on {self._endpoint}", answer.message)

    async def topics(self, *names: str) -> list[TopicInfo]:
        """All topics, or those of these names, by name; none that is being deleted."""
        async with self.servers.server(self.servers.sc) as sc:
            found = await sc.list(metadata.TOPIC, *names)
        deleting = metadata.TopicResolution.DELETING
        return sorted(
            (
                topic_info(topic)
                for topic in found  # a name is looked for in all parts of topics' names
                if topic.status.resolution != deleting and (not names or topic.name in names)
            ),
            key=lambda info: info.name,
        )

    async def spus(self) -> list[Address]:
        """All SPUs that clients can reach, as the cluster tells where they are."""
        async with self.servers.server(self.servers.sc) as sc:
            found = await sc.list(metadata.SPU)
        addresses = []
        for spu in found:
            with contextlib.suppress(ConnectionLost):
                addresses.append(self._address(spu))
        return addresses

    async def waits_for_spus(self, name: str) -> bool:
        """Whether a topic was taken, but cannot be made with the SPUs that there are."""
        async with self.servers.server(self.servers.sc) as sc:
            found = await sc.list(metadata.TOPIC, name)
        lacking = metadata.TopicResolution.INSUFFICIENT_RESOURCES
        return any(t.name == name and t.status.resolution == lacking for t in found)

    async def partitions(self, topic: str | None = None) -> list[PartitionInfo]:
        """All partitions, or a topic's, by topic and number, with what their leaders tell."""
        found, ends = await self._told(topic)
        infos = (partition_info(partition, ends.get(partition.name)) for partition in found)
        return sorted(infos, key=lambda info: (info.topic, info.partition))

    async def leaders(self, topic: str) -> dict[int, Address]:
        """The SPUs that lead and serve a topic's partitions; those without one are left out."""
        return {number: one for number, one in (await self._leading(topic)).items() if one}

    async def is_served(self, topic: str) -> bool:
        """Whether all partitions of a topic are served by their leaders."""
        return all((await self._leading(topic)).values())

    async def _leading(self, topic: str) -> dict[int, Address | None]:
        """Of all partitions of a topic: the SPU that leads it, if it serves it, too."""
        async with self.servers.server(self.servers.sc) as sc:
            places = await self._places(sc, topic, system=False)
            spus = {spu.spec.spu_id: spu for spu in await sc.list(metadata.SPU)}
        ends = await self._ends_of(
            {f"{topic}-{number}": place.leader for number, place in places.items() if place}, spus
        )
        return {
            number: self._address(spus.get(place.leader))
            if place and f"{topic}-{number}" in ends
            else None
            for number, place in places.items()
        }

    async def _told(self, topic: str | None) -> tuple[list[metadata.PartitionMetadata], _Ends]:
        """Partitions as the SC lists them, and what their leaders tell.

        Nothing is told of partitions whose leader cannot be reached or does not serve them.
        """
        async with self.servers.server(self.servers.sc) as sc:
            listed = await sc.list(metadata.PARTITION)
            spus = {spu.spec.spu_id: spu for spu in await sc.list(metadata.SPU)}
        found = [
            partition
            for partition in listed
            if not partition.status.being_deleted
            and topic in (None, partition.name.rpartition("-")[0])
        ]
        leaders = {partition.name: partition.spec.leader for partition in found}
        return found, await self._ends_of(leaders, spus)

    async def _ends_of(
        self, leaders: Mapping[str, int], spus: Mapping[int, metadata.SpuMetadata]
    ) -> _Ends:
        """What their leaders tell about partitions, by the partitions' names."""
        by_leader: defaultdict[int, list[str]] = defaultdict(list)
        for name, leader in leaders.items():
            by_leader[leader].append(name)
        ends: _Ends = {}
        for told in await asyncio.gather(
            *(self._ends(spus.get(leader), names) for leader, names in by_leader.items())
        ):
            ends |= told
        return ends

    async def _ends(self, spu: metadata.SpuMetadata | None, names: Iterable[str]) -> _Ends:
        """What one leader tells about its partitions; nothing if it cannot be reached."""
        topics: defaultdict[str, list[int]] = defaultdict(list)
        for name in names:
            topic, _, number = name.rpartition("-")
            topics[topic].append(int(number))
        try:
            async with self.servers.server(self._address(spu)) as server:
                found = await _fetch_offsets(server, topics)
        except FluvioError:
            return {}
        return {
            f"{topic}-{told.partition}": (told.start_offset, told.end_offset)
            for topic, told in found
            if not told.error
        }

    async def bounds(self, topic: str, partition: int) -> Bounds:
        """Where a partition begins and ends, as its leader says.

        Raises
        ------
        TopicNotFound
            The cluster knows no such partition.
        ConnectionLost
            The partition's leader cannot be reached, or does not serve it (yet).
        """
        leader, replicas = await self._place(topic, partition, system=False)
        async with self.servers.server(leader) as spu:
            ((_, found),) = await _fetch_offsets(spu, {topic: [partition]})
            question = spu.encode(data.FETCH_OFFSETS, _offsets_request({topic: [partition]}))
        if found.error:
            raise ConnectionLost(
                f"partition {partition} of topic {topic!r}: its leader answers {found.error}; "
                "it may not be ready yet, try again"
            )
        return Bounds(found.start_offset, found.end_offset, leader, question, replicas)

    async def leader(self, topic: str, partition: int, *, system: bool = False) -> Address:
        """The SPU that leads a partition, of a topic of users or of the system.

        Raises
        ------
        TopicNotFound
            The cluster knows no such partition.
        ConnectionLost
            The partition has no leader at the moment.
        """
        return (await self._place(topic, partition, system=system))[0]

    async def _place(self, topic: str, partition: int, *, system: bool) -> tuple[Address, int]:
        """The SPU that leads a partition, and how many keep it."""
        async with self.servers.server(self.servers.sc) as sc:
            places = await self._places(sc, topic, system=system)
            place = places.get(partition)
            if place is None:
                raise self._missing(f"partition {partition} of topic {topic!r}")
            spus = await sc.list(metadata.SPU)
        try:
            leader = next((spu for spu in spus if spu.spec.spu_id == place.leader), None)
            return self._address(leader), place.replicas
        except ConnectionLost as error:
            raise ConnectionLost(f"partition {partition} of topic {topic!r}: {error}") from None

    async def _places(self, sc: Server, topic: str, *, system: bool) -> dict[int, _Place | None]:
        """Who leads each partition of a topic; None while that is not listed yet.

        The SC finds a topic by its name; of partitions it lists all or none, which takes long
        with thousands of topics. They are needed only where a leader is elected among several.
        """
        found = await sc.list(metadata.TOPIC, topic, system=system)
        status = next((one.status for one in found if one.name == topic), None)
        if status is None or status.resolution == metadata.TopicResolution.DELETING:
            raise self._missing(f"topic {topic!r}")
        if not status.replica_map:
            raise ConnectionLost(
                f"topic {topic!r} has no place on an SPU yet; try again, or see if enough SPUs run"
            )
        if all(len(place.spus) == 1 for _, place in status.replica_map):
            return {number: _Place(place.spus[0], 1) for number, place in status.replica_map}
        listed = await sc.list(metadata.PARTITION, system=system)
        led = {one.name: _Place(one.spec.leader, len(one.spec.replicas)) for one in listed}
        return {number: led.get(f"{topic}-{number}") for number, _ in status.replica_map}

    def _missing(self, what: str) -> TopicNotFound:
        return TopicNotFound(f"{what} is not on the cluster {self._endpoint}; create it")

    async def committed_offsets(self) -> list[CommittedOffset]:
        """What all named consumers have committed, by consumer, topic and partition."""
        try:
            leader = await self.leader(_OFFSETS_TOPIC, _OFFSETS_PARTITION, system=True)
        except TopicNotFound:  # the cluster makes it for the first commit
            return []
        async with self.servers.server(leader) as spu:
            answer = await spu.ask(data.FETCH_CONSUMERS, data.FetchConsumersRequest(None))
        if answer.error:
            raise refusal(answer.error, f"list committed offsets on {self._endpoint}")
        return sorted(
            (
                CommittedOffset(
                    found.consumer_id,
                    found.replica.topic,
                    found.replica.partition,
                    found.offset,
                    found.modified_time_s,
                )
                for found in answer.consumers
            ),
            key=lambda found: (found.consumer_id, found.topic, found.partition),
        )

    async def delete_committed_offset(self, consumer_id: str, topic: str, partition: int) -> None:
        """Have the cluster forget what a named consumer has committed, if there is anything."""
        try:
            leader = await self.leader(_OFFSETS_TOPIC, _OFFSETS_PARTITION, system=True)
        except TopicNotFound:
            return
        request = data.DeleteConsumerRequest(data.ReplicaKey(topic, partition), consumer_id)
        async with self.servers.server(leader) as spu:
            answer = await spu.ask(data.DELETE_CONSUMER, request)
        if answer.error:
            doing = f"delete the offset of consumer {consumer_id!r} on {self._endpoint}"
            raise refusal(answer.error, doing)

    def _address(self, spu: metadata.SpuMetadata | None) -> Address:
        return address_of(spu, inside=self._is_inside)


def address_of(spu: metadata.SpuMetadata | None, *, inside: bool) -> Address:
    """Where clients reach an SPU.

    Parameters
    ----------
    spu : SpuMetadata or None
        As the SC lists it.
    inside : bool
        Take the address for clients in the same Kubernetes cluster, where there is one.

    Raises
    ------
    ConnectionLost
        There is no SPU, or no way to it.
    """
    local = spu.spec.public_local if spu is not None and inside else None
    if spu is not None and local is not None:
        return Address(f"{local.host}:{local.port}", spu.name)
    if spu is None or not spu.spec.public.addresses:
        raise ConnectionLost(
            "it has no leader that clients can reach; try again when the SPU is back"
        )
    ingress = spu.spec.public
    return Address(
        f"{ingress.addresses[0].hostname or ingress.addresses[0].ip}:{ingress.port}", spu.name
    )


def _offsets_request(topics: dict[str, list[int]]) -> data.FetchOffsetsRequest:
    return data.FetchOffsetsRequest(
        tuple(data.OffsetsTopic(topic, tuple(numbers)) for topic, numbers in topics.items())
    )


async def _fetch_offsets(
    spu: Server, topics: dict[str, list[int]]
) -> list[tuple[str, data.PartitionOffsets]]:
    answer = await spu.ask(data.FETCH_OFFSETS, _offsets_request(topics))
    return [(topic.name, told) for topic in answer.topics for told in topic.partitions]
