"""The SC's objects, seen through its port: create, list, watch, delete, and every refusal."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from qd_fluvio.broker.settings import MODULE_NAME_CHARACTERS_MAX
from qd_fluvio.wire import admin, data, metadata
from qd_fluvio.wire.codec import Labelled
from qd_fluvio.wire.failures import ErrorCode, Failure
from qd_fluvio.wire.metadata import (
    PARTITION,
    SPU,
    TOPIC,
    AssignedPartition,
    AssignedReplicas,
    ComputedReplicas,
    SegmentCleanup,
    Storage,
    TopicSpec,
)
from qd_fluvio.wire.modules import (
    SMARTMODULE,
    ModuleMeta,
    ModulePackage,
    ModuleParameter,
    ModuleSpec,
    ModuleSummary,
    ModuleWasm,
)
from support.broker import Ports, WireClient, batch_of, connected

WASM = b"\0asm\x01\0\0\0"
SPU_ID = 5001


async def test_both_ports_say_what_they_speak(ports: Ports) -> None:
    for address, apis, version in (
        (ports.sc, admin.SC_APIS, "0.18.2"),
        (ports.spu, data.SPU_APIS, "0.0.0"),
    ):
        async with connected(address) as client:
            answer = await client.call(admin.API_VERSIONS, admin.ApiVersionsRequest())
            assert answer.platform_version == version
            assert {item.api_key for item in answer.apis} == apis.keys() - {18}


# Topics: the codes are those of a real SC, which was asked the same.


def assigned(*partitions: tuple[int, tuple[int, ...]]) -> TopicSpec:
    return TopicSpec(AssignedReplicas(tuple(AssignedPartition(*item) for item in partitions)))


ONE = ComputedReplicas(1)
REFUSED_SPECS = {
    "no partitions": (TopicSpec(ComputedReplicas(0)), ErrorCode.TOPIC_ERROR),
    "no replicas": (TopicSpec(ComputedReplicas(1, 0)), ErrorCode.TOPIC_ERROR),
    "two replicas": (TopicSpec(ComputedReplicas(1, 2)), ErrorCode.TOPIC_NOT_PROVISIONED),
    "nothing assigned": (assigned(), ErrorCode.TOPIC_ERROR),
    "not from 0": (assigned((1, (SPU_ID,))), ErrorCode.TOPIC_ERROR),
    "a gap": (assigned((0, (SPU_ID,)), (2, (SPU_ID,))), ErrorCode.TOPIC_ERROR),
    "another SPU": (assigned((0, (7,))), ErrorCode.TOPIC_ERROR),
    "on no SPU": (assigned((0, ())), ErrorCode.TOPIC_ERROR),
    "twice on one SPU": (assigned((0, (SPU_ID, SPU_ID))), ErrorCode.TOPIC_ERROR),
    "short retention": (
        TopicSpec(ONE, cleanup=SegmentCleanup(9)),
        ErrorCode.TOPIC_INVALID_CONFIGURATION,
    ),
    "small segments": (
        TopicSpec(ONE, storage=Storage(segment_bytes=1_023)),
        ErrorCode.TOPIC_INVALID_CONFIGURATION,
    ),
}


@pytest.mark.parametrize("name", REFUSED_SPECS)
async def test_a_topic_that_cannot_be(ports: Ports, name: str) -> None:
    spec, code = REFUSED_SPECS[name]
    async with connected(ports.sc) as sc:
        answer = await sc.create_spec("refused", spec)
        assert answer.error == Failure(code)
        assert answer.name == "refused"
        assert "expected" in str(answer.message)
        assert (await sc.objects(TOPIC, "refused")).objects == ()


@pytest.mark.parametrize("name", ["Bad_Name!", "", "-x", "x-", "x" * 64, "x.y", "a/b", ".."])
async def test_a_name_that_no_topic_can_have(ports: Ports, name: str) -> None:
    async with connected(ports.sc) as sc:
        assert (await sc.create(name)).error == Failure(ErrorCode.TOPIC_INVALID_NAME)


async def test_a_name_that_is_taken(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        assert not (await sc.create("taken")).error
        for name in ("taken", "consumer-offset"):
            again = await sc.create(name)
            assert again.error == Failure(ErrorCode.TOPIC_ALREADY_EXISTS)
            assert again.message == f"topic '{name}' already exists"


async def test_a_topic_whose_partitions_are_placed_by_hand(ports: Ports) -> None:
    spec = assigned((0, (SPU_ID,)), (1, (SPU_ID,)))
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert not (await sc.create_spec("by-hand", spec)).error
        (found,) = (await sc.objects(TOPIC, "by-hand")).objects
        assert found.spec == spec
        assert [number for number, _ in found.status.replica_map] == [0, 1]
        assert not (await spu.produce("by-hand", batch_of(b"a"), partition=1))[0].error


async def test_a_dry_run_creates_nothing(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        topic = admin.CreateTopic("dry", True, None, TopicSpec(ONE))
        module = admin.CreateModule("dry", True, None, ModuleSpec(wasm=ModuleWasm(0, WASM)))
        for label, wanted in ((TOPIC, topic), (SMARTMODULE, module)):
            request = admin.CreateRequest(Labelled(label, wanted))
            assert not (await sc.call(admin.CREATE, request)).error
            assert (await sc.objects(label, "dry")).objects == ()


async def test_the_systems_own_topic_stays(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        refused = await sc.delete("consumer-offset")
        assert refused.error == Failure(
            ErrorCode.SYSTEM_DELETE_ATTEMPT, ("topic", "consumer-offset")
        )
        assert [item.name for item in (await sc.objects(TOPIC, system=True)).objects] == [
            "consumer-offset"
        ]
        (partition,) = (await sc.objects(PARTITION, system=True)).objects
        assert partition.name == "consumer-offset-0"


async def test_lists_show_topics_partitions_and_the_spu(ports: Ports) -> None:
    async with connected(ports.sc) as sc, connected(ports.spu) as spu:
        assert not (await sc.create("listed", 3)).error
        await spu.produce("listed", batch_of(b"a", b"b"), partition=2)
        (found,) = (await sc.objects(TOPIC, "iste", "nope")).objects
        assert found.spec.replicas == ComputedReplicas(3)
        # A real SC gives all partitions, whatever names it is asked for.
        partitions = [
            item
            for item in (await sc.objects(PARTITION, "nope")).objects
            if item.name.startswith("listed-")
        ]
        assert [item.name for item in partitions] == ["listed-0", "listed-1", "listed-2"]
        assert [item.status.leader.end_offset for item in partitions] == [0, 0, 2]
        assert partitions[2].status.size_bytes > 0


async def test_the_spu_is_listed_in_both_its_forms(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        (unit,) = (await sc.objects(SPU)).objects
        assert f"127.0.0.1:{unit.spec.public.port}" == ports.spu
        assert unit.spec.public.encryption == unit.spec.private.encryption == 0
        (custom,) = (await sc.objects(metadata.CUSTOM_SPU)).objects
        assert (custom.name, custom.spec.spu_id) == (unit.name, unit.spec.spu_id)
        assert custom.spec.public == unit.spec.public
        assert (await sc.objects(SPU, "other")).objects == ()


# SmartModules.


def module_spec(wasm: bytes = WASM, meta: ModuleMeta | None = None) -> ModuleSpec:
    return ModuleSpec(meta, None, ModuleWasm(0, wasm))


def package(name: str = "filter", group: str = "qd", version: str = "0.1.0") -> ModuleMeta:
    return ModuleMeta(
        ModulePackage(name, group, version, "0.1.0", description="a filter"),
        (("key", ModuleParameter("what to look for", True)),),
    )


async def create_module(sc: WireClient, name: str, spec: ModuleSpec) -> admin.StatusResponse:
    wanted = Labelled(SMARTMODULE, admin.CreateModule(name, False, None, spec))
    return await sc.call(admin.CREATE, admin.CreateRequest(wanted))


async def delete_object(sc: WireClient, label: str, wanted: object) -> admin.StatusResponse:
    return await sc.call(admin.DELETE, admin.DeleteRequest(Labelled(label, wanted)))


async def test_smartmodules_come_and_go(ports: Ports) -> None:
    packed = gzip.compress(WASM)
    async with connected(ports.sc) as sc:
        assert not (await create_module(sc, "plain", module_spec())).error
        assert not (await create_module(sc, "packed", module_spec(packed))).error
        listed = (await sc.objects(SMARTMODULE)).objects
        assert [(item.name, bytes(item.spec.wasm.payload)) for item in listed] == [
            ("packed", packed),
            ("plain", WASM),
        ]
        # A name is whole, not a part of one.
        assert (await sc.objects(SMARTMODULE, "pla")).objects == ()
        assert len((await sc.objects(SMARTMODULE, "plain")).objects) == 1
        # The same name again takes the place of the first.
        assert not (await create_module(sc, "plain", module_spec(packed))).error
        (again,) = (await sc.objects(SMARTMODULE, "plain")).objects
        assert bytes(again.spec.wasm.payload) == packed
        for name in ("plain", "packed"):
            assert not (await delete_object(sc, SMARTMODULE, admin.DeleteByName(name))).error
        gone = await delete_object(sc, SMARTMODULE, admin.DeleteByName("plain"))
        assert gone.error == Failure(ErrorCode.SMARTMODULE_NOT_FOUND, ("plain",))
        assert (await sc.objects(SMARTMODULE)).objects == ()


async def test_a_packaged_smartmodule_is_found_by_its_parts(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        answer = await create_module(sc, "ignored", module_spec(meta=package()))
        assert answer.name == "filter-qd-0.1.0"
        for name, count in (
            ("filter", 1),
            ("qd/filter", 1),
            ("qd/filter@0.1.0", 1),
            ("qd/filter@0.2.0", 0),
            ("other/filter", 0),
            ("filter-qd-0.1.0", 0),
        ):
            found = (await sc.objects(SMARTMODULE, name)).objects
            assert [item.spec.meta for item in found] == [package()] * count
        named = admin.DeleteByName("qd/filter@0.1.0")
        assert not (await delete_object(sc, SMARTMODULE, named)).error


BOMB = gzip.compress(WASM + bytes(40_000_000))
REFUSED_MODULES = {
    "no WASM": ("x", module_spec(b"hello"), "expected WASM's"),
    "nothing": ("x", module_spec(b""), "expected WASM's"),
    "packed, no WASM": ("x", module_spec(gzip.compress(b"hello")), "expected WASM's"),
    "torn gzip": ("x", module_spec(gzip.compress(WASM)[:-4]), "gzip cannot read"),
    "a bomb": ("x", module_spec(BOMB), "uncompressed"),
    "too large": ("x", module_spec(WASM + bytes(9_000_000)), "expected at most"),
    "no name": ("", module_spec(), "expected 1 to"),
    "a path": ("../x", module_spec(), "expected 1 to"),
    "hidden": (".x", module_spec(), "expected 1 to"),
    "a long name": ("x" * (MODULE_NAME_CHARACTERS_MAX + 1), module_spec(), "expected 1 to"),
}


@pytest.mark.parametrize("name", REFUSED_MODULES)
async def test_a_smartmodule_that_cannot_be(ports: Ports, name: str) -> None:
    module_name, spec, words = REFUSED_MODULES[name]
    async with connected(ports.sc) as sc:
        answer = await create_module(sc, module_name, spec)
        assert answer.error.code == ErrorCode.SMARTMODULE_INVALID
        assert words in answer.error.details[0]
        assert (await sc.objects(SMARTMODULE)).objects == ()


async def test_a_package_without_a_group(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        answer = await create_module(sc, "x", module_spec(meta=package(group="")))
        assert answer.error == Failure(ErrorCode.SMARTMODULE_ERROR)
        assert "without a name or a group" in str(answer.message)


# Other kinds.

ABSENT = {
    metadata.SPU_GROUP: (ErrorCode.SPU_ERROR, ErrorCode.SPU_NOT_FOUND),
    metadata.TABLE_FORMAT: (ErrorCode.TABLE_FORMAT_ERROR, ErrorCode.TABLE_FORMAT_NOT_FOUND),
    metadata.MIRROR: (ErrorCode.MIRROR_INVALID_TYPE, ErrorCode.MIRROR_NOT_FOUND),
}


@pytest.mark.parametrize("label", ABSENT)
async def test_kinds_without_objects(ports: Ports, label: str) -> None:
    refused, not_found = ABSENT[label]
    async with connected(ports.sc) as sc:
        assert await sc.objects(label) == bytes(4)
        wanted = Labelled(label, admin.CreateOther("it", False, None, b"whatever"))
        created = await sc.call(admin.CREATE, admin.CreateRequest(wanted))
        assert (created.name, created.error) == ("it", Failure(refused))
        deleted = await delete_object(sc, label, admin.DeleteByName("it"))
        assert (deleted.name, deleted.error) == ("it", Failure(not_found))


async def test_the_spu_can_be_neither_joined_nor_taken_away(ports: Ports) -> None:
    label = metadata.CUSTOM_SPU
    async with connected(ports.sc) as sc:
        wanted = Labelled(label, admin.CreateOther("custom-spu-2", False, None, b""))
        created = await sc.call(admin.CREATE, admin.CreateRequest(wanted))
        assert created.error == Failure(ErrorCode.SPU_REGISTRATION_FAILED)
        for key, name, code in (
            (admin.SpuName("custom-spu-5001"), "custom-spu-5001", ErrorCode.SPU_ERROR),
            (admin.SpuNumber(SPU_ID), "custom-spu-5001", ErrorCode.SPU_ERROR),
            (admin.SpuName("other"), "other", ErrorCode.SPU_NOT_FOUND),
            (admin.SpuNumber(7), "spu-7", ErrorCode.SPU_NOT_FOUND),
        ):
            answer = await delete_object(sc, label, admin.DeleteSpu(key))
            assert (answer.name, answer.error) == (name, Failure(code))


async def test_a_kind_that_nobody_knows(ports: Ports) -> None:
    unknown = Failure(ErrorCode.OTHER, ("unknown admin object type",))
    async with connected(ports.sc) as sc:
        wanted = Labelled("Unicorn", b"\0\0")
        assert (await sc.call(admin.CREATE, admin.CreateRequest(wanted))).error == unknown
        assert (await delete_object(sc, "Unicorn", b"\0\0\0")).error == unknown


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (admin.LIST, admin.ListRequest(Labelled("Unicorn", b"\0\0\0\0\0\0"))),
        (admin.WATCH, admin.WatchRequest(Labelled("Unicorn", bytes(9)))),
        (admin.WATCH, admin.WatchRequest(Labelled(metadata.MIRROR, bytes(9)))),
        (admin.WATCH, admin.WatchRequest(Labelled(metadata.CUSTOM_SPU, bytes(9)))),
    ],
)
async def test_what_cannot_be_listed_or_watched_ends_the_connection(
    ports: Ports, api: Any, body: Any
) -> None:
    async with connected(ports.sc) as sc:
        sc.send(api, body)
        assert await sc.closed() == b""


# Watching.


async def test_watchers_see_a_topic_come_before_its_create_is_answered(ports: Ports) -> None:
    async with connected(ports.sc) as watching, connected(ports.sc) as creating:
        watch = {label: start_watch(watching, label) for label in admin.WATCHED}
        first = {label: await watching.answer(number) for label, number in watch.items()}
        assert first[SPU].object.body.all[0].name == "custom-spu-5001"
        for label in (metadata.SPU_GROUP, metadata.TABLE_FORMAT):
            assert first[label].object.body[8:] == bytes(8)
        names = {item.name for item in first[TOPIC].object.body.all}
        assert "consumer-offset" in names
        assert "watched" not in names
        assert not (await creating.create("watched", 2)).error
        update = (await watching.answer(watch[TOPIC])).object.body
        assert [item.object.name for item in update.changes] == ["watched"]
        partitions = (await watching.answer(watch[PARTITION])).object.body
        assert [item.object.name for item in partitions.changes] == ["watched-0", "watched-1"]
        assert not (await creating.delete("watched")).error
        gone = (await watching.answer(watch[TOPIC])).object.body.changes
        assert [(item.kind, item.object.name) for item in gone] == [
            (admin.ChangeKind.DELETE, "watched")
        ]


def start_watch(client: WireClient, label: str, *, summary: bool = False) -> int:
    wanted = Labelled(label, admin.WatchObjects(0, summary))
    return client.send(admin.WATCH, admin.WatchRequest(wanted))


@pytest.mark.parametrize("summary", [False, True])
async def test_watchers_see_smartmodules_come_and_go(ports: Ports, summary: bool) -> None:
    expected = ModuleSpec(summary=ModuleSummary(len(WASM))) if summary else module_spec()
    async with connected(ports.sc) as watching, connected(ports.sc) as creating:
        watch = start_watch(watching, SMARTMODULE, summary=summary)
        assert (await watching.answer(watch)).object.body.all == ()
        assert not (await create_module(creating, "watched", module_spec())).error
        (came,) = (await watching.answer(watch)).object.body.changes
        assert (came.kind, came.object.name) == (admin.ChangeKind.UPDATE, "watched")
        assert came.object.spec == expected
        later = start_watch(watching, SMARTMODULE, summary=summary)
        (all_of_them,) = (await watching.answer(later)).object.body.all
        assert all_of_them.spec == expected
        deleted = await delete_object(creating, SMARTMODULE, admin.DeleteByName("watched"))
        assert not deleted.error
        (gone,) = (await watching.answer(watch)).object.body.changes
        assert (gone.kind, gone.object.name) == (admin.ChangeKind.DELETE, "watched")


async def test_a_list_can_leave_the_bytes_out(ports: Ports) -> None:
    async with connected(ports.sc) as sc:
        assert not (await create_module(sc, "short", module_spec(meta=None))).error
        wanted = admin.ListObjects(("short",), summary=True)
        request = admin.ListRequest(Labelled(SMARTMODULE, wanted))
        (found,) = (await sc.call(admin.LIST, request)).object.body.objects
        assert found.spec == ModuleSpec(summary=ModuleSummary(len(WASM)))
        assert not (await delete_object(sc, SMARTMODULE, admin.DeleteByName("short"))).error
