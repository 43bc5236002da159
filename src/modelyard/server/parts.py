"""The parts of a running registry: opened together, closed together."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.identity.operations import shared_secret
from modelyard.server.identity.state import Identity
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, FolderInUse, StoreUnavailable
from modelyard.server.storage.folder import lock
from modelyard.server.storage.local import LocalStore
from modelyard.server.storage.s3 import Bucket, S3Store
from modelyard.server.storage.trust import Trust

log = logging.getLogger("modelyard.parts")


@dataclass(frozen=True)
class Parts:
    """What every route and every chore needs; ``trust`` is what the store was seen to enforce."""

    settings: Settings
    database: Database
    store: BlobStore
    identity: Identity
    trust: Trust


def database_url(settings: Settings) -> str:
    return settings.database_url or f"sqlite:///{settings.data_dir.absolute() / 'modelyard.sqlite3'}"


def bucket_of(settings: Settings) -> Bucket | None:
    """The bucket that the operator named, or None where a folder holds the models."""
    if settings.storage_url is None:
        return None
    named = urlsplit(settings.storage_url)
    path_style = settings.storage_path_style
    return Bucket(
        name=named.netloc,
        prefix=named.path.strip("/"),
        endpoint=settings.storage_endpoint,
        public_endpoint=settings.storage_public_endpoint or settings.storage_endpoint,
        region=settings.storage_region,
        path_style=settings.storage_endpoint is not None if path_style is None else path_style,
        access_key=settings.storage_access_key,
        secret_key=settings.storage_secret_key,
    )


@contextmanager
def opened_database(settings: Settings) -> Iterator[Database]:
    """The database alone, with a current schema; a server may have it open at the same time.

    Raises:
        SchemaTooNew: it was written by a newer modelyard.
    """
    if settings.database_url is None:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(database_url(settings))
    try:
        migrate(database.engine)
        yield database
    finally:
        database.close()


@contextmanager
def opened(settings: Settings, identity: Identity | None = None) -> Iterator[Parts]:
    """A registry's parts, with a current schema and a store that was tried.

    Any number of processes may share a bucket; a folder has one server.

    Raises:
        FolderInUse: another process serves this data directory.
        SchemaTooNew: see ``opened_database``.
        BucketRefused: there is no such bucket, or it does not let us in.
    """
    with opened_store(settings) as (database, store):
        trust = Trust()
        trust.renew(store)
        yield Parts(settings, database, store, identity or Identity(), trust)


@contextmanager
def opened_store(settings: Settings) -> Iterator[tuple[Database, BlobStore]]:
    """The database and the store that the settings name; see ``opened``."""
    bucket = bucket_of(settings)
    if bucket is not None:
        with opened_database(settings) as database:
            in_bucket = S3Store(bucket)
            # One that does not answer now may do so in a minute, and other routes work without it.
            with suppress(StoreUnavailable):
                in_bucket.check()
            yield database, in_bucket
        return
    with lock(settings.data_dir) as held, opened_database(settings) as database:
        store = LocalStore(settings.data_dir, shared_secret(database, "signed-urls").encode())
        try:
            store.recover(held)
            yield database, store
        finally:
            store.close()


@contextmanager
def opened_beside(settings: Settings) -> Iterator[tuple[Database, BlobStore]]:
    """The database and the store for a program that removes things while a server may be running.

    Of a folder that no server has, what a dead one left half written goes first.
    """
    if bucket_of(settings) is not None:
        with opened_store(settings) as both:
            yield both
        return
    with opened_database(settings) as database:
        store = LocalStore(settings.data_dir, shared_secret(database, "signed-urls").encode())
        try:
            with suppress(FolderInUse), lock(settings.data_dir) as held:
                store.recover(held)
            yield database, store
        finally:
            store.close()
