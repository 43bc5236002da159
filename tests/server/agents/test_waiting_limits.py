"""How many manifest requests wait: of one machine and key, of one team, and of all; others are answered at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest

from modelyard.server.fairness.usage import Limits
from tests.server.agents.machine import Machine, add_machine, register_model
from tests.server.harness import ApiCaller, Harness
from tests.waiting import PATIENCE_SECONDS, wait_until

pytestmark = pytest.mark.slow

# As many as the tests let wait at once.
THREADS = 20
POLL_SECONDS = 60
Response = Future[httpx2.Response]
Poll = Callable[[Machine], Response]


@pytest.fixture
def poll(registry: Harness) -> Iterator[Poll]:
    """Send a long poll of a machine in a thread, and return its future response once it waits or is answered.

    At the end, all polls are ended as by a server that stops.
    """
    places = registry.app.state.fleet.places
    with ThreadPoolExecutor(THREADS) as threads:

        def send(machine: Machine) -> Response:
            etag, count = machine.manifest().headers["ETag"], places.usage.total
            response = threads.submit(machine.manifest, etag, POLL_SECONDS)
            wait_until(lambda: response.done() or places.usage.total == count + 1)
            return response

        yield send
        registry.client.portal.call(registry.app.state.fleet.waiters.stop)  # type: ignore[union-attr]  # the lifespan runs
    assert places.usage.total == 0


def is_unchanged(response: Response) -> bool:
    """Return whether a response is that of an unchanged manifest, with its ETag and without a body."""
    answer = response.result(PATIENCE_SECONDS)
    return (answer.status_code, answer.content, bool(answer.headers["ETag"])) == (304, b"", True)


def test_third_poll_of_a_machine_is_answered_at_once_as_unchanged(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    waiting = [poll(machine), poll(machine)]
    assert [is_unchanged(poll(machine)) for _ in range(3)] == [True] * 3
    assert not any(response.done() for response in waiting)
    assert registry.app.state.fleet.places.usage.total == 2


def test_poll_without_a_place_gets_a_manifest_that_differs(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    poll(machine), poll(machine)
    old = machine.manifest().headers["ETag"].replace('"', '"old-', 1)
    assert machine.manifest(old, POLL_SECONDS).status_code == 200


def test_polls_of_other_machines_and_keys_wait_beside_two_of_one_machine(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    same_key = Machine(machine.key, "render-08")
    same_key.beat()
    waiting = [poll(machine), poll(machine), poll(same_key), poll(add_machine(registry, registry.owner, "render-09"))]
    assert registry.app.state.fleet.places.usage.total == 4
    assert not any(response.done() for response in waiting)


def test_replaced_key_of_a_machine_waits_beside_two_polls_of_the_old_one(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    poll(machine), poll(machine)
    [key] = registry.owner.get("/credentials", kind="agent").json()["credentials"]
    raw_key = registry.owner.post(f"/credentials/{key['id']}/rotate", grace_hours=1).json()["raw_key"]
    assert not poll(Machine(ApiCaller(registry.client, raw_key), machine.agent_id)).done()
    assert registry.app.state.fleet.places.usage.total == 3


def test_place_is_free_again_when_a_poll_is_answered(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    waiting = [poll(machine), poll(machine)]
    register_model(registry.owner)
    assert [response.result(PATIENCE_SECONDS).status_code for response in waiting] == [200, 200]
    assert not poll(machine).done()
    assert registry.app.state.fleet.places.usage.total == 1


def test_place_is_free_again_when_the_key_is_revoked(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    waiting = poll(machine)
    [key] = registry.owner.get("/credentials", kind="agent").json()["credentials"]
    registry.owner.delete(f"/credentials/{key['id']}")
    assert waiting.result(PATIENCE_SECONDS).status_code == 401
    assert registry.app.state.fleet.places.usage.total == 0


def test_key_that_polls_for_many_machines_leaves_places_to_another_person(
    registry: Harness, poll: Poll, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = registry.app.state.fleet.places.usage
    monkeypatch.setattr(usage, "limits", Limits(8, per_person=6, per_team=6))
    key = registry.create_key("agent")
    machines = [Machine(key, f"render-{number:02}") for number in range(10)]
    for machine in machines:
        machine.beat()
    answered = [response for response in [poll(machine) for machine in machines] if response.done()]
    assert len(answered) == 4
    assert all(map(is_unchanged, answered))
    assert not poll(add_machine(registry, registry.create_other_team())).done()


def test_places_are_free_when_the_server_stops(registry: Harness, poll: Poll) -> None:
    machine = add_machine(registry, registry.owner)
    waiting = [poll(machine), poll(machine)]
    registry.client.portal.call(registry.app.state.fleet.waiters.stop)  # type: ignore[union-attr]  # the lifespan runs
    assert all(map(is_unchanged, waiting))
    assert registry.app.state.fleet.places.usage.total == 0
