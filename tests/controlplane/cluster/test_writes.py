"""Writes happen only while leading, only where something differs, and never to an object of somebody else."""

from collections.abc import Mapping
from typing import Any

import pytest

from controlplane.cluster.cache import Cache, ref_to
from controlplane.cluster.writes import APPLIED, Writes, marked
from controlplane.errors import NotFound, NotLeading, Refused
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.status import ModelPoolStatus
from controlplane.world import Note, Object, Plan, Ref, World

UID = "pool-uid"


class Server:
    """Keeps what is applied, and refuses what it is told to."""

    def __init__(self) -> None:
        self.objects: dict[Ref, Object] = {}
        self.did: list[tuple[str, str]] = []
        self.refuses: set[str] = set()

    async def get(self, ref: Ref) -> Object:
        if ref not in self.objects:
            raise NotFound(ref.name)
        return self.objects[ref]

    async def apply(self, wanted: Object, part: str = "") -> Object:
        if wanted["kind"] in self.refuses:
            raise Refused(f"{wanted['kind']}: forbidden: exceeded quota")
        self.did.append(("status" if part else "apply", wanted["kind"]))
        meta = {**wanted["metadata"], "uid": "u", "resourceVersion": str(len(self.did))}
        return {**wanted, "metadata": meta}

    async def create(self, wanted: Object) -> Object:
        self.did.append(("create", wanted["reason"]))
        return wanted

    async def delete(self, ref: Ref, uid: str) -> None:
        self.did.append(("delete", f"{ref.kind} {uid}"))


class Ledger:
    def wrote(self, kind: str, what: str) -> None:
        pass


def child(kind: str, api: str = "v1", owner: str = UID, **spec: Any) -> dict[str, Any]:
    meta = {"name": "llama", "namespace": "ns", "ownerReferences": [{"uid": owner}]}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def world(children: Mapping[Ref, Object] | None = None) -> World:
    spec = ModelPoolSpec.model_validate({"model": {"name": "m"}, "tier": "small"})
    return World("ns", "llama", UID, 1, spec, ModelPoolStatus(), 0.0, children=children or {})


def plan(*apply: Object, delete: tuple[Ref, ...] = ()) -> Plan:
    return Plan(apply, delete, ModelPoolStatus())


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def writes(server: Server) -> Writes:
    return Writes(server, Cache(), Ledger(), lambda: None, "me")


async def test_what_is_there_already_is_not_applied_again(server: Server, writes: Writes) -> None:
    service = child("Service", clusterIP="None")
    there = {**marked(service), "status": {"loadBalancer": {}}}
    assert await writes.carry_out(world({ref_to(service): there}), plan(service)) is None
    assert server.did == []


async def test_a_field_that_is_no_longer_wanted_is_noticed(server: Server, writes: Writes) -> None:
    before, now = child("Service", a=1, b=2), child("Service", a=1)
    await writes.carry_out(world({ref_to(before): marked(before)}), plan(now))
    assert server.did == [("apply", "Service")]


async def test_what_somebody_changed_is_put_back(server: Server, writes: Writes) -> None:
    service = child("Service", a=1)
    tampered = {**marked(service), "spec": {"a": 7}}
    await writes.carry_out(world({ref_to(service): tampered}), plan(service))
    assert server.did == [("apply", "Service")]


async def test_one_refusal_does_not_keep_the_rest_from_being_done(server: Server, writes: Writes) -> None:
    server.refuses = {"Service"}
    gone = child("ControllerRevision", "apps/v1")
    gone["metadata"]["uid"] = "old"
    refused = await writes.carry_out(
        world({ref_to(gone): gone}), plan(child("Service"), child("Deployment", "apps/v1"), delete=(ref_to(gone),))
    )
    assert "exceeded quota" in str(refused)
    assert server.did == [("apply", "Deployment"), ("delete", "ControllerRevision old")]


async def test_nothing_is_written_without_the_lease(server: Server) -> None:
    def may_not() -> None:
        raise NotLeading("no")

    writes = Writes(server, Cache(), Ledger(), may_not, "me")
    with pytest.raises(NotLeading):
        await writes.carry_out(world(), plan(child("Service")))
    with pytest.raises(NotLeading):
        await writes.notes(child("Service"), [Note("Normal", "Said", "so")])
    assert server.did == []


async def test_objects_of_others_under_our_names_are_found(server: Server, writes: Writes) -> None:
    ours, theirs, known = (
        child("Service"),
        child("Deployment", "apps/v1", owner="else"),
        child("PodDisruptionBudget", "policy/v1"),
    )
    server.objects = {ref_to(one): one for one in (ours, theirs)}
    found = await writes.foreign(world({ref_to(known): known}), [ours, theirs, known, child("PersistentVolumeClaim")])
    assert list(found) == [ref_to(theirs)]


async def test_a_status_goes_to_that_very_object_and_only_if_it_changed(server: Server, writes: Writes) -> None:
    seen: dict[str, Any] = {"apiVersion": "headgate.dev/v1alpha1", "kind": "ModelPool"}
    seen["metadata"] = {"name": "llama", "namespace": "ns", "uid": UID, "labels": {"a": "b"}}
    await writes.status(seen, ModelPoolStatus(), ModelPoolStatus())
    assert server.did == []
    await writes.status(seen, ModelPoolStatus(), ModelPoolStatus(replicas=2))
    assert server.did == [("status", "ModelPool")]


def test_the_mark_is_of_everything_but_itself() -> None:
    one, other = marked(child("Service", a=1)), marked(child("Service", a=2))
    assert one["metadata"]["annotations"][APPLIED] != other["metadata"]["annotations"][APPLIED]
    assert marked(child("Service", a=1)) == one
