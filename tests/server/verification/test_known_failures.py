"""Objects that have failed are refused at once, also by other processes, and while the database does not answer."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.orm import Session

from modelyard.server.database.session import Database
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.models.objects.known_failures import KnownFailures
from modelyard.server.models.objects.recheck_requests import RecheckRequests
from modelyard.server.resources import build_database_url
from modelyard.wire import problems
from tests.server.environments import PATIENT
from tests.server.verification.test_corrupt_objects import folder, get_download_url, get_object_path, recheck
from tests.server.verification.test_doubtful_objects import break_object
from tests.server.verification.test_scrub import flip_last_bit, register_verified, replace_stored_object, scrub
from tests.server.verification.unverified_team import CONTENT, OTHER, UnverifiedTeam
from tests.waiting import PATIENCE_SECONDS

__all__ = ["folder"]
pytestmark = pytest.mark.slow


def test_link_in_use_is_refused_once_a_recheck_has_found_damage(folder: UnverifiedTeam) -> None:
    model_id = register_verified(folder)
    url = get_download_url(folder, model_id)
    get_object_path(folder, model_id).write_bytes(flip_last_bit(CONTENT))
    assert [folder.client.get(url).status_code for _ in range(2)] == [200, 200]

    recheck(folder)

    refused = [folder.client.get(url, headers=headers) for headers in ({}, {"Range": "bytes=4-9"})]
    assert [(answer.status_code, answer.json()["error_code"]) for answer in refused] == [(409, "model_damaged")] * 2


class FaultyDatabase(Database):
    """A second set of connections to a registry's database; readers wait or fail as long as a test says so."""

    def __init__(self, unverified: UnverifiedTeam) -> None:
        super().__init__(build_database_url(unverified.resources.settings), PATIENT)
        self.is_unavailable = False
        self.answers = threading.Event()
        self.answers.set()
        self.reads = 0

    @contextmanager
    def reading(self) -> Iterator[Session]:
        self.reads += 1
        self.answers.wait(PATIENCE_SECONDS)
        if self.is_unavailable:
            raise problems.Unavailable("The database does not answer.", retry_after=1)
        with super().reading() as session:
            yield session


@pytest.fixture
def other_database(unverified: UnverifiedTeam) -> Iterator[FaultyDatabase]:
    database = FaultyDatabase(unverified)
    yield database
    database.answers.set()
    database.close()


@pytest.fixture
def other_process(unverified: UnverifiedTeam, other_database: FaultyDatabase) -> ObjectChecks:
    """The checks of another process, which looks for failures whenever it is asked."""
    failures = KnownFailures(other_database, look_seconds=0)
    store = unverified.resources.store
    return ObjectChecks(other_database, store, Metrics(), RecheckRequests(), known_failures=failures)


def test_object_that_another_process_marked_is_refused_until_it_is_repaired(
    unverified: UnverifiedTeam, other_process: ObjectChecks
) -> None:
    model_id = register_verified(unverified)
    store, key = unverified.resources.store, unverified.blob(model_id).store_key
    break_object(unverified, key)
    broken = store.stat(key)
    other_process.check_before_sending(key, broken)
    unverified.owner.get(f"/models/{model_id}/download")
    recheck(unverified)

    with pytest.raises(problems.ModelDamaged):
        other_process.check_before_sending(key, broken)

    replace_stored_object(unverified.resources, key, CONTENT)
    unverified.age(1.1)
    scrub(unverified)
    other_process.check_before_sending(key, store.stat(key))


def test_known_failure_is_refused_and_intact_object_sent_while_the_database_does_not_answer(
    unverified: UnverifiedTeam, other_process: ObjectChecks, other_database: FaultyDatabase
) -> None:
    models = register_verified(unverified), register_verified(unverified, OTHER, "loras/other.safetensors")
    broken, intact = (unverified.blob(model_id).store_key for model_id in models)
    store = unverified.resources.store
    break_object(unverified, broken)
    other_process.check_before_sending(broken, store.stat(broken))
    unverified.owner.get(f"/models/{models[0]}/download")
    recheck(unverified)
    other_process.check_before_sending(intact, store.stat(intact))

    other_database.is_unavailable = True

    with pytest.raises(problems.ModelDamaged):
        other_process.check_before_sending(broken, store.stat(broken))
    other_process.check_before_sending(intact, store.stat(intact))


def test_object_in_use_is_sent_while_a_look_for_failures_waits_for_the_database(
    unverified: UnverifiedTeam, other_process: ObjectChecks, other_database: FaultyDatabase
) -> None:
    model_id = register_verified(unverified)
    store, key = unverified.resources.store, unverified.blob(model_id).store_key
    other_process.check_before_sending(key, store.stat(key))
    before = other_database.reads
    other_database.answers.clear()
    for _ in range(3):
        other_process.check_before_sending(key, store.stat(key))
    assert other_database.reads == before + 1
