"""Downloads whose store fails or sends nothing, beside others: they take no place, and say why nothing arrives."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from modelyard.sync.apply.downloads import STALLED
from modelyard.sync.apply.queue import MAX_IDLE
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.transfer.retry import get_store_address
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.real_machine import DEFAULT_OPTIONS, NETWORK_OPTIONS, ModelStore, RealMachine
from tests.transfer.faults import respond, send_slowly, trickle_after
from tests.transfer.faulty_server import Behavior, Exchange, serve_correctly

pytestmark = pytest.mark.slow

PARALLEL = 2
OPTIONS = replace(DEFAULT_OPTIONS, parallel=PARALLEL, network=replace(NETWORK_OPTIONS, max_backoff_seconds=1))


def serve_only(store: ModelStore, good: ManifestEntry, otherwise: Behavior) -> None:
    """Let the store serve one model, and behave otherwise with all others."""

    def answer(exchange: Exchange) -> None:
        (serve_correctly if exchange.path == f"/{good.id}" else otherwise)(exchange)

    store.server.always = answer


def add_models(store: ModelStore, failing: int, size: int) -> tuple[ManifestEntry, list[ManifestEntry]]:
    """Add a model, and others that are more desired."""
    entries = [store.add_model(f"loras/{number}.sft", os.urandom(size)) for number in range(failing)]
    return store.add_model("loras/good.sft", os.urandom(size)), entries


def sync(
    machine: RealMachine, good: ManifestEntry, entries: list[ManifestEntry], repair: Callable[[], None]
) -> tuple[dict[str, ReplicaState], list[ReplicaState]]:
    """Sync all models, and call ``repair`` when the good one is ready; return the last states, and all before that."""
    before: list[ReplicaState] = []
    is_ready = False

    def handle(state: ReplicaState) -> None:
        nonlocal is_ready
        if state.model_id == good.id and state.state == "ready":
            is_ready = True
            repair()
        elif not is_ready:
            before.append(state)

    return machine.apply(machine.plan(*entries, good), OPTIONS, handle), before


@pytest.mark.parametrize("failing", [PARALLEL, 3 * PARALLEL])
def test_apply_good_model_is_ready_while_the_store_refuses_more_models_than_are_downloaded_at_once(
    machine: RealMachine, store: ModelStore, failing: int
) -> None:
    good, entries = add_models(store, failing, 20_000)
    serve_only(store, good, respond(500))

    def repair() -> None:
        store.server.always = None

    states, before = sync(machine, good, entries, repair)

    assert {state.state for state in states.values()} == {"ready"}
    assert {state.state for state in before} == {"queued", "downloading", "verifying"}


def test_apply_good_model_is_ready_while_the_store_refuses_the_files_of_as_many_folders(
    machine: RealMachine, store: ModelStore
) -> None:
    folders = [store.add_folder(f"diffusers/{number}", {"a.json": b"{}"}) for number in range(PARALLEL)]
    good = store.add_model("loras/good.sft", os.urandom(1000))
    serve_only(store, good, respond(500))

    def repair() -> None:
        store.server.always = None

    states, before = sync(machine, good, folders, repair)

    assert {state.state for state in states.values()} == {"ready"}
    assert {state.state for state in before} == {"queued", "downloading", "verifying"}


@pytest.mark.parametrize("failing", [PARALLEL, 3 * PARALLEL])
def test_apply_good_model_is_ready_while_the_store_stalls_for_more_models_than_are_downloaded_at_once(
    machine: RealMachine, store: ModelStore, failing: int
) -> None:
    good, entries = add_models(store, failing, 20_000)
    may_end = threading.Event()
    serve_only(store, good, trickle_after(10, may_end))

    states, before = sync(machine, good, entries, may_end.set)

    assert {state.state for state in states.values()} == {"ready"}
    assert STALLED in {state.reason for state in before}


def test_apply_failing_downloads_are_limited_and_those_above_end_as_failed_with_their_reason(
    machine: RealMachine, store: ModelStore
) -> None:
    good, entries = add_models(store, 5 * MAX_IDLE, 2000)
    serve_only(store, good, respond(500))
    last: dict[UUID, str | None] = {}
    counts: list[int] = []

    def handle(state: ReplicaState) -> None:
        last[state.model_id] = state.state
        counts.append(sum(each == "downloading" for each in last.values()))
        if state.model_id == good.id and state.state == "ready":
            store.server.always = None

    states = machine.apply(machine.plan(*entries, good), OPTIONS, handle)

    assert max(counts) <= MAX_IDLE + PARALLEL
    assert states.pop(good.model_path).state == "ready"
    failed = [state for state in states.values() if state.state == "failed"]
    assert len(failed) >= 3 * MAX_IDLE
    assert all("500" in (state.reason or "") for state in failed)


@pytest.mark.parametrize("status", [403, 500])
def test_apply_small_model_whose_first_request_fails_is_ready_while_a_large_one_receives(
    machine: RealMachine, store: ModelStore, status: int
) -> None:
    large = store.add_model("loras/large.sft", os.urandom(40_000_000))
    small = store.add_model("loras/small.sft", os.urandom(2_000_000))
    first = iter([respond(status)])
    is_small_ready = threading.Event()

    def answer(exchange: Exchange) -> None:
        if exchange.path == f"/{small.id}":
            next(first, serve_correctly)(exchange)
        else:
            (serve_correctly if is_small_ready.is_set() else send_slowly(64_000, 0.02))(exchange)

    store.server.always = answer
    ready: list[UUID] = []

    def handle(state: ReplicaState) -> None:
        if state.state == "ready":
            ready.append(state.model_id)
            is_small_ready.set()

    network = replace(OPTIONS.network, range_size=1_000_000)
    machine.apply(machine.plan(large, small), replace(OPTIONS, network=network), handle)

    assert ready == [small.id, large.id]


def test_apply_reasons_of_a_failing_store_do_not_tell_a_person_to_try_again(
    machine: RealMachine, store: ModelStore
) -> None:
    detail = json.dumps({"detail": "The store does not answer. Try again."}).encode()
    good, entries = add_models(store, MAX_IDLE + PARALLEL, 2000)
    serve_only(store, good, respond(503, detail))

    def repair() -> None:
        store.server.always = None

    states, before = sync(machine, good, entries, repair)

    reasons = [state.reason for state in (*states.values(), *before) if state.reason and "503" in state.reason]
    assert {state.state for state in states.values()} == {"ready", "failed"}
    assert reasons
    assert [reason for reason in reasons if "Try again" in reason] == []


def test_apply_redirected_download_fails_with_both_hosts_and_no_secret(machine: RealMachine, store: ModelStore) -> None:
    entry = store.add_model("loras/ink.sft", os.urandom(2000))
    store.server.always = respond(302, Location="https://login.example/start?back=%2F&signature=secret")

    [state] = machine.apply(machine.plan(entry), OPTIONS).values()

    reason = state.reason or ""
    assert state.state == "failed"
    assert f"redirected from http://{get_store_address(store.server.url('/'))} to https://login.example. " in reason
    assert "MODELYARD_PUBLIC_URL" in reason
    assert "secret" not in reason


def test_apply_reason_of_a_failing_store_stays_until_bytes_arrive(machine: RealMachine, store: ModelStore) -> None:
    good, [entry] = add_models(store, 1, 20_000)
    serve_only(store, good, respond(500))
    reasons: list[str | None] = []

    def handle(state: ReplicaState) -> None:
        if state.state == "downloading":
            reasons.append(state.reason)
            if len(reasons) == 20:
                store.server.always = None

    machine.apply(machine.plan(entry), OPTIONS, handle)

    assert None not in reasons[1:20]
