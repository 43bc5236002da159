"""The parts of a running registry: opened together, closed together."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.identity.operations import shared_secret
from modelyard.server.identity.state import Identity
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, Honesty, StoreError
from modelyard.server.storage.folder import lock
from modelyard.server.storage.local import LocalStore

log = logging.getLogger("modelyard.parts")


@dataclass(frozen=True)
class Parts:
    """What every route and every chore needs; ``honesty`` is what the store was seen to enforce when it was opened."""

    settings: Settings
    database: Database
    store: LocalStore
    identity: Identity
    honesty: Honesty | None


def database_url(settings: Settings) -> str:
    return f"sqlite:///{settings.data_dir.absolute() / 'modelyard.sqlite3'}"


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """The database alone, with a current schema; a server may have it open at the same time.

    Raises:
        SchemaTooNew: it was written by a newer modelyard.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(database_url(settings))
    try:
        migrate(database.engine)
        yield database
    finally:
        database.close()


@contextmanager
def opened(settings: Settings, identity: Identity | None = None) -> Iterator[Parts]:
    """A registry's parts, with a current schema and a swept store; nobody else may serve the same folder meanwhile.

    Raises:
        FolderInUse: another process serves this data directory.
        SchemaTooNew: see ``opened_database``.
    """
    with lock(settings.data_dir) as held, opened_database(settings) as database:
        store = LocalStore(settings.data_dir, shared_secret(database, "signed-urls").encode())
        try:
            store.recover(held)
            yield Parts(settings, database, store, identity or Identity(), _probed(store))
        finally:
            store.close()


def _probed(store: BlobStore) -> Honesty | None:
    """What the store enforces; None where it could not be tried: on a full disk it still serves what it holds."""
    try:
        honesty = store.probe()
    except StoreError as error:
        log.warning("the store could not be tried", extra={"why": error.detail})
        return None
    log.log(logging.INFO if honesty.is_honest else logging.WARNING, "store tried", extra=vars(honesty))
    return honesty
