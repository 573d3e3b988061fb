"""What all SC sessions share: the cluster's objects, who watches them, and their changes.

No bytes and no connections here: objects in, objects out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from qd_fluvio.broker.catalog import SYSTEM_TOPIC, Catalog, Topic
from qd_fluvio.broker.consumers import ConsumerOffsets
from qd_fluvio.broker.errors import SystemTopic
from qd_fluvio.broker.modules import ModuleStore
from qd_fluvio.broker.placement import check_replicas
from qd_fluvio.broker.settings import CREATE_SETTLE_S, Faults
from qd_fluvio.broker.sharing import to_the_end
from qd_fluvio.broker.views import (
    custom_spu_view,
    partition_views,
    partitions_of,
    topic_view,
    topic_views,
)
from qd_fluvio.broker.watch import Watchers
from qd_fluvio.wire import admin
from qd_fluvio.wire.metadata import CUSTOM_SPU, PARTITION, SPU, TOPIC, SpuMetadata
from qd_fluvio.wire.modules import SMARTMODULE, ModuleMetadata, summary_of


class Cluster:
    """The cluster's objects, as the SC knows them."""

    def __init__(
        self,
        catalog: Catalog,
        consumers: ConsumerOffsets,
        modules: ModuleStore,
        *,
        spu: SpuMetadata,
        faults: Faults,
    ) -> None:
        self.watchers = Watchers(self.snapshot)
        self._catalog = catalog
        self._consumers = consumers
        self._modules = modules
        self._spu = spu
        self._faults = faults
        self._unannounced: set[str] = set()

    @property
    def spu_name(self) -> str:
        """The name of the one SPU."""
        return self._spu.name

    def snapshot(self, label: str) -> tuple[Any, ...]:
        """All objects of one kind, the system's own too."""
        if label == TOPIC:
            return topic_views(self._announced())
        if label == PARTITION:
            return partition_views(self._announced())
        if label == SMARTMODULE:
            return tuple(self._modules.modules())
        if label == CUSTOM_SPU:
            return (custom_spu_view(self._spu),)
        return (self._spu,) if label == SPU else ()

    def select(self, label: str, wanted: admin.ListObjects) -> tuple[Any, ...]:
        """The objects that a list asks for, as Fluvio's SC selects them.

        Topics and partitions are the system's own or all others. Names are part of an
        object's name, but SmartModules' are whole, and partitions' do not count.
        """
        if label == SMARTMODULE:
            modules = self._modules.select(wanted.names)
            return tuple(summary_of(item) if wanted.summary else item for item in modules)
        names = () if label == PARTITION else wanted.names
        if label == TOPIC and names:  # asked for with every look-up: not all are looked at
            named = [topic for topic in self._announced() if _matches(topic.name, names)]
            found = topic_views(named)
        else:
            found = self.snapshot(label)
        if label in (TOPIC, PARTITION):
            found = tuple(item for item in found if item.spec.system == wanted.system)
        return tuple(item for item in found if _matches(item.name, names))

    async def create_topic(self, request: admin.CreateTopic) -> None:
        """Make a topic; watching clients know it when this returns."""
        check_replicas(request.spec)
        self._catalog.check_new(request.name, request.spec)
        if not request.dry_run:
            await to_the_end(self._create_topic(request))

    async def delete_topic(self, name: str) -> None:
        """Delete a topic and all that belongs to it."""
        if name == SYSTEM_TOPIC:
            raise SystemTopic(name)
        await to_the_end(self._delete_topic(name))

    async def create_module(self, request: admin.CreateModule) -> ModuleMetadata:
        """Keep a SmartModule; gives it with the name it got."""
        return await to_the_end(self._create_module(request))

    async def delete_module(self, name: str) -> None:
        """Forget a SmartModule."""
        await to_the_end(self._delete_module(name))

    async def _create_module(self, request: admin.CreateModule) -> ModuleMetadata:
        module = await self._modules.create(request.name, request.spec, dry_run=request.dry_run)
        if not request.dry_run:
            self.watchers.publish(SMARTMODULE, admin.ChangeKind.UPDATE, (module,))
        return module

    async def _delete_module(self, name: str) -> None:
        module = await self._modules.delete(name)
        self.watchers.publish(SMARTMODULE, admin.ChangeKind.DELETE, (module,))

    async def _create_topic(self, request: admin.CreateTopic) -> None:
        late_s = self._faults.late_topics_s
        if late_s:
            self._unannounced.add(request.name)
        topic = await self._catalog.create(request.name, request.spec)
        if late_s:
            asyncio.get_running_loop().call_later(late_s, self._announce_late, topic)
            return
        self._announce(topic, admin.ChangeKind.UPDATE)
        await asyncio.sleep(CREATE_SETTLE_S)

    async def _delete_topic(self, name: str) -> None:
        topic = await self._catalog.delete(name)
        self._consumers.delete_topic(name)
        self._announce(topic, admin.ChangeKind.DELETE)

    def _announced(self) -> list[Topic]:
        return [item for item in self._catalog.topics() if item.name not in self._unannounced]

    def _announce_late(self, topic: Topic) -> None:
        self._unannounced.discard(topic.name)
        if self._catalog.find(topic.name) is topic:
            self._announce(topic, admin.ChangeKind.UPDATE)

    def _announce(self, topic: Topic, kind: admin.ChangeKind) -> None:
        # Partitions first: clients take a topic that they see for usable.
        self.watchers.publish(PARTITION, kind, partitions_of(topic))
        view = topic_view(topic.name, topic.spec, len(topic.logs))
        self.watchers.publish(TOPIC, kind, (view,))


def _matches(name: str, wanted: tuple[str, ...]) -> bool:
    """Fluvio's filter: any of the texts is part of the name; no texts let all through."""
    return not wanted or any(text in name for text in wanted)
