"""Imports of a killed process: taken back by the next one, but only where no other process can run them."""

from dataclasses import replace

import pytest

from modelyard.server.imports.import_leases import lease_next_import, renew_import
from tests.server.imports.calls import start
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FakeSources
from tests.server.imports.stopped import Stopped

pytestmark = pytest.mark.slow


def test_import_next_alone_import_of_a_killed_process_continues_at_once_by_range(
    stopped: Stopped, fakes: FakeSources, link: str, large: bytes
) -> None:
    import_id = start(stopped.owner, link)
    fakes.storage.cut_after = [PART + 500]
    stopped.create_importer().import_next()
    stopped.expire_leases()
    # The process that leases it now is killed.
    assert lease_next_import(stopped.resources.database) is not None
    assert stopped.create_importer().import_next() is False
    assert stopped.create_importer(is_alone=True).import_next() is True
    assert fakes.storage.ranges == [None, f"bytes={PART}-"]
    assert stopped.owner.get(f"/imports/{import_id}").json()["import_state"] == "done"


def test_import_next_alone_takes_nothing_back_after_its_first_import(
    stopped: Stopped, fakes: FakeSources, link: str
) -> None:
    importer = stopped.create_importer(is_alone=True)
    assert importer.import_next() is False
    start(stopped.owner, link)
    leased = lease_next_import(stopped.resources.database)
    assert leased is not None
    assert importer.import_next() is False
    assert renew_import(stopped.resources.database, leased) is True


def test_resources_with_a_database_that_others_may_use_are_not_exclusive(stopped: Stopped) -> None:
    resources = stopped.resources
    for url, is_exclusive in ((None, not resources.store.is_remote), ("postgresql://db.example/modelyard", False)):
        settings = resources.settings.model_copy(update={"database_url": url})
        assert replace(resources, settings=settings).is_exclusive is is_exclusive
