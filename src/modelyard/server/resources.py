"""The resources of a running registry (settings, database, store, identity): opened and closed together."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from modelyard.server.data_folder import DATABASE_FILE, create_database_file, prepare_data_folder
from modelyard.server.database.engine import Limits
from modelyard.server.database.migrations import migrate, read_schema_version
from modelyard.server.database.session import Database
from modelyard.server.encryption import SecretCipher, read_cipher
from modelyard.server.identity.operations import get_or_create_shared_secret
from modelyard.server.identity.state import Identity
from modelyard.server.models.objects.recheck_requests import RecheckRequests
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, FolderInUse, StoreUnavailable
from modelyard.server.storage.capabilities import StoreCapabilities
from modelyard.server.storage.local.folder import find_lock_holder, lock_folder
from modelyard.server.storage.local.store import LocalStore
from modelyard.server.storage.s3.store import Bucket, S3Store

log = logging.getLogger("modelyard.resources")


class RegistryNotFound(FileNotFoundError):
    """The settings name no registry; the text says where one was looked for, and what to do."""


@dataclass(frozen=True)
class Resources:
    """The resources that routes and jobs share. ``capabilities`` is what the store was seen to enforce.

    ``recheck_requests`` are blobs whose objects changed, for the job that verifies them again. ``cipher`` is None
    without a key for secrets.
    """

    settings: Settings
    database: Database
    store: BlobStore
    identity: Identity
    capabilities: StoreCapabilities
    recheck_requests: RecheckRequests = field(default_factory=RecheckRequests)
    cipher: SecretCipher | None = None

    @property
    def is_exclusive(self) -> bool:
        """Whether no other process can run jobs of this registry: database and store are in a locked folder."""
        return self.settings.database_url is None and not self.store.is_remote


def build_database_url(settings: Settings) -> str:
    """Return the configured database URL, or that of the SQLite file in the data folder."""
    return settings.database_url or f"sqlite:///{settings.data_dir.absolute() / DATABASE_FILE}"


def parse_bucket(settings: Settings) -> Bucket | None:
    """Return the bucket of the settings, or None if models are stored in the data folder."""
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


def check_registry_exists(settings: Settings) -> None:
    """Check that the settings name a registry, for a command that must not create one. It creates nothing itself.

    Raises:
        RegistryNotFound: the data folder has no database, or the database that is set has no tables.
        Unavailable: the database does not answer.
    """
    if settings.database_url is None:
        check_database_file_exists(settings)
        return
    database = Database(settings.database_url)
    try:
        if read_schema_version(database.engine) is None:
            raise RegistryNotFound(
                "The database of MODELYARD_DATABASE_URL is empty: there is no registry in it. Set the address of "
                "another one, or create the registry with modelyard migrate."
            )
    finally:
        database.close()


def check_database_file_exists(settings: Settings) -> None:
    """Check that the data folder has a database; does nothing if another database is set.

    Raises:
        RegistryNotFound: it has none.
    """
    if settings.database_url is None and not (settings.data_dir / DATABASE_FILE).is_file():
        raise RegistryNotFound(
            f'There is no registry in the folder "{settings.data_dir.absolute()}". Name its folder with --data-dir '
            "FOLDER, or set MODELYARD_DATA_DIR; modelyard serve creates a new registry."
        )


def check_folder_is_free(settings: Settings) -> None:
    """Check that no other server uses the data folder; does nothing for a bucket, which many may use. Creates nothing.

    Raises:
        FolderInUse: one does; the message says what to do.
    """
    process = None if parse_bucket(settings) is not None else find_lock_holder(settings.data_dir)
    if process is not None:
        raise FolderInUse(
            f'This registry runs already: process {process} serves the folder "{settings.data_dir.absolute()}". '
            "Nothing was started. To start it again, stop that process first; for another registry, name another "
            "folder with --data-dir.",
            process=process,
        )


@contextmanager
def open_database(settings: Settings, limits: Limits | None = None) -> Iterator[Database]:
    """Open the database alone and migrate its schema; a server may have it open at the same time.

    ``limits`` replaces the default timeouts and numbers of connections.

    Raises:
        SchemaTooNew: a newer modelyard has migrated it.
        FolderNotPrivate: see ``prepare_data_folder``.
    """
    if settings.database_url is None:
        _prepare_folder(settings)
        create_database_file(settings.data_dir / DATABASE_FILE)
    database = Database(build_database_url(settings), limits)
    try:
        migrate(database.engine)
        yield database
    finally:
        database.close()


def _prepare_folder(settings: Settings) -> None:
    """Create or close the data folder of the settings, see ``prepare_data_folder``."""
    prepare_data_folder(settings.data_dir, is_shared_with_group=settings.data_dir_shared)


@contextmanager
def open_resources(
    settings: Settings, identity: Identity | None = None, limits: Limits | None = None
) -> Iterator[Resources]:
    """Open the resources of a registry: the database is migrated, with these ``limits``, and the store is probed.

    Any number of processes may share a bucket; a folder can be used by one server only. A bucket that does not respond
    is no error: it is probed later.

    Raises:
        FolderInUse: another process serves this data folder.
        SchemaTooNew, FolderNotPrivate: see ``open_database``.
        BucketAccessError: the bucket does not exist or denies access.
        SecretsKeyInvalid: see ``read_cipher``.
    """
    cipher = read_cipher(settings)
    with open_store(settings, limits) as (database, store):
        capabilities = StoreCapabilities()
        capabilities.ensure_probed(store)
        yield Resources(settings, database, store, identity or Identity(), capabilities, cipher=cipher)


@contextmanager
def open_store(settings: Settings, limits: Limits | None = None) -> Iterator[tuple[Database, BlobStore]]:
    """Open the database and the store, as the only user of a folder; raises what ``open_resources`` raises.

    A folder is locked meanwhile, and half-written files in it are deleted. A bucket that does not respond is no error.
    """
    bucket = parse_bucket(settings)
    if bucket is not None:
        with open_database(settings, limits) as database:
            in_bucket = S3Store(bucket)
            # A bucket that does not respond now may do so later, and other routes work without it.
            with suppress(StoreUnavailable):
                in_bucket.check_access()
            yield database, in_bucket
        return
    _prepare_folder(settings)
    with lock_folder(settings.data_dir) as held, open_database(settings, limits) as database:
        store = LocalStore(settings.data_dir, get_or_create_shared_secret(database, "signed-urls").encode())
        try:
            store.delete_leftovers(held)
            yield database, store
        finally:
            store.close()


@contextmanager
def open_store_beside_server(settings: Settings) -> Iterator[tuple[Database, BlobStore]]:
    """Open the database and the store for garbage collection, which may run beside a server.

    If no server uses the folder, the half-written files of a killed server are removed first.
    """
    if parse_bucket(settings) is not None:
        with open_store(settings) as both:
            yield both
        return
    _prepare_folder(settings)
    with open_database(settings) as database:
        store = LocalStore(settings.data_dir, get_or_create_shared_secret(database, "signed-urls").encode())
        try:
            with suppress(FolderInUse), lock_folder(settings.data_dir) as held:
                store.delete_leftovers(held)
            yield database, store
        finally:
            store.close()
