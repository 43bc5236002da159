"""Events arrive at least once, with the same id, though the server is killed before it sends them or meanwhile."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.forked_server import ForkedServer
from tests.server.webhooks.receiver import Receiver, run_receiver
from tests.waiting import wait_until

KILLS = 4


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[ForkedServer]:
    """A server with a webhook that gets registrations."""
    with ForkedServer(tmp_path / "data", webhook_hosts=receiver.host) as server:
        body = {"display_name": "Chat", "url": receiver.url, "event_list": ["model.registered"]}
        assert server.owner().post("/webhooks", **body).status_code == 201
        yield server


def test_server_killed_after_the_commit_of_an_event_sends_it_after_its_restart(
    server: ForkedServer, receiver: Receiver
) -> None:
    models = []
    for number in range(KILLS):
        models.append(server.owner().register(path=f"loras/{number}.safetensors"))
        server.signal_and_wait(signal.SIGKILL)
        _expire_leases(server)
        server.start()
    wait_until(lambda: {message.document["data"]["object_id"] for message in receiver.messages} == set(models))
    _check_ids(server, receiver, KILLS)


def test_server_killed_during_a_delivery_sends_it_again_with_the_same_id(
    server: ForkedServer, receiver: Receiver
) -> None:
    receiver.pause()
    server.owner().register()
    first = receiver.wait_for_message()
    server.signal_and_wait(signal.SIGKILL)
    receiver.resume()
    _expire_leases(server)
    server.start()
    second = receiver.wait_for_message()
    assert (second.id, second.body) == (first.id, first.body)
    _check_ids(server, receiver, 1)


def _expire_leases(server: ForkedServer) -> None:
    """Let the two minutes be over for which the killed server had leased its deliveries, if it had any."""
    with closing(sqlite3.connect(server.data_dir / "modelyard.sqlite3")) as database, database:
        database.execute("UPDATE webhook_deliveries SET leased_until = created_at WHERE lease IS NOT NULL")


def _check_ids(server: ForkedServer, receiver: Receiver, events: int) -> None:
    """Check that each event has one delivery, which has arrived, and that all requests had its id."""
    owner = server.owner()
    [webhook] = owner.get("/webhooks").json()["webhook_list"]
    deliveries = f"/webhooks/{webhook['id']}/deliveries"
    wait_until(lambda: _list_states(owner.get(deliveries).json()["delivery_list"]) == ["delivered"] * events)
    ids = {each["id"] for each in owner.get(deliveries).json()["delivery_list"]}
    assert {message.id for message in receiver.messages} == ids
    assert len({(message.id, message.document["data"]["id"]) for message in receiver.messages}) == events


def _list_states(deliveries: list[dict[str, str]]) -> list[str]:
    return [each["delivery_state"] for each in deliveries]
