"""What ``modelyard storage probe`` and ``setup`` do: test the store, and set up a bucket."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from modelyard.server.console import exit_on_operator_errors, read_settings_or_exit
from modelyard.server.resources import check_registry_exists, open_store, parse_bucket
from modelyard.server.settings import Settings
from modelyard.server.storage.blob_store import BlobStore, Capabilities
from modelyard.server.storage.s3 import bucket_rules
from modelyard.server.storage.s3.errors import S3Error
from modelyard.server.storage.s3.store import S3Store

# For each capability that the probe tests: its text, and the consequence of its absence.
CAPABILITY_TEXTS = {
    "refuses_wrong_checksum": (
        "refuses a file that has another checksum than was signed",
        "A file that was damaged on its way is found only when the registry reads it, before anyone may download it.",
    ),
    "refuses_overwrite": (
        "refuses to write over a file that is there",
        "Any holder of an upload URL could change the file for an hour, so verified files are copied inside the store, "
        "and the copy, for which no upload URL was ever made, is what is served. Each large file is stored twice for "
        "a while.",
    ),
    "refuses_tampered_signature": (
        "refuses a URL that was changed",
        "Anybody who reaches this store can write to it and read from it. Do not use it.",
    ),
    "reads_ranges_right": (
        "gives exactly the bytes of a range that is asked for",
        "Downloads in several ranges, and those that go on after a break, may fail. Use another store.",
    ),
    "reads_multipart_right": (
        "makes the file that was cut of an upload in parts",
        "Large files come back wrong. Do not use this store.",
    ),
}


def probe_store(data_dir: Path | None, *, as_json: bool) -> None:
    """Test what the store enforces, and print it; exit with code 1 if a capability is missing."""
    settings = read_settings_or_exit(data_dir=data_dir)
    with exit_on_operator_errors(), _open_store(settings) as store:
        capabilities = store.probe()
    if as_json:
        typer.echo(
            json.dumps(
                {"store": describe_store(settings), "enforces_all": capabilities.enforces_all, **vars(capabilities)}
            )
        )
    else:
        _print_capabilities(describe_store(settings), capabilities)
    if not capabilities.enforces_all:
        raise typer.Exit(1)


def _print_capabilities(name: str, capabilities: Capabilities) -> None:
    """Print for each capability whether the store has it, and the consequence if not."""
    typer.echo(f"{name}\n")
    for promise, (claim, consequence) in CAPABILITY_TEXTS.items():
        holds = getattr(capabilities, promise)
        typer.echo(f"  {'yes' if holds else 'no ':3}  {claim}")
        if not holds:
            typer.echo(f"       {consequence}")
    for remark in capabilities.remarks:
        typer.echo(f"\n  {remark}")
    typer.echo(
        "\nThe store meets all requirements."
        if capabilities.enforces_all
        else "\nThe store does not meet all requirements."
    )


def set_up_bucket(data_dir: Path | None, *, create: bool, dry_run: bool) -> None:
    """Set up the bucket: allow uploads from the page, and remove unfinished uploads; or print the rules for that."""
    settings = read_settings_or_exit(data_dir=data_dir)
    bucket = parse_bucket(settings)
    if bucket is None:
        typer.echo(f"Models are kept in the folder {settings.data_dir}, which needs no set-up.")
        return
    store = S3Store(bucket)
    with exit_on_operator_errors(), _translate_s3_errors():
        if create and not dry_run:
            made = bucket_rules.create_bucket(store.connections)
            typer.echo(f"The bucket '{bucket.name}' {'was created' if made else 'exists already'}.")
        store.check_access()
        rules = bucket_rules.build_bucket_rules(store.connections, list_page_origins(settings), settings.upload_days)
    if dry_run:
        typer.echo(json.dumps({"CORSRules": rules.cors, "Rules": rules.lifecycle}, indent=2, default=str))
        return
    _apply(store, settings, rules)


def list_page_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins of pages that upload to the bucket: the registry's own, and those allowed by CORS."""
    own = () if settings.public_url is None else (settings.public_url,)
    return tuple(dict.fromkeys((*own, *settings.cors_origins)))


def _apply(store: S3Store, settings: Settings, rules: bucket_rules.Rules) -> None:
    """Put the rules into the bucket and print the outcome of each; exit with code 1 if one was refused."""
    origins, days = list_page_origins(settings), settings.upload_days + 1
    done = []
    if origins:
        what = f"pages of {', '.join(origins)} may use the bucket"
        done.append(_put_rule(what, lambda: bucket_rules.put_page_rule(store.connections, rules)))
    else:
        typer.echo(
            "No page needs access to the bucket (CORS): neither MODELYARD_PUBLIC_URL nor MODELYARD_CORS_ORIGINS is set."
        )
    what = f"unfinished uploads below '{store.bucket.get_object_name('')}' are deleted after {days} days"
    done.append(_put_rule(what, lambda: bucket_rules.put_uploads_rule(store.connections, rules)))
    if not all(done):
        raise typer.Exit(1)


def _put_rule(what: str, put: Callable[[], None]) -> bool:
    """Put a rule into the bucket and print the outcome; return False if the store refuses it.

    Not every store supports both rules, so the caller goes on with the other one. Other errors that the operator can
    act on end the program.
    """
    with exit_on_operator_errors():
        try:
            put()
        except S3Error as refusal:
            typer.echo(f"Not done: {what}. {refusal.to_store_error().detail}", err=True)
            return False
    typer.echo(f"Done: {what}.")
    return True


def describe_store(settings: Settings) -> str:
    """Return where the models are stored, as text for people."""
    if settings.storage_url is None:
        return f"the folder {settings.data_dir}"
    return settings.storage_url + (f" at {settings.storage_endpoint}" if settings.storage_endpoint else "")


@contextmanager
def _open_store(settings: Settings) -> Iterator[BlobStore]:
    """Open the store: a bucket without a database, a folder with its database and lock.

    Raises:
        BucketAccessError: the bucket does not exist or denies access.
        RegistryNotFound: the folder has no registry, and the probe creates none.
        FolderInUse: a server uses the folder.
        StoreUnavailable: the bucket does not respond.
    """
    bucket = parse_bucket(settings)
    if bucket is None:
        check_registry_exists(settings)
        with open_store(settings) as (_, folder):
            yield folder
        return
    store = S3Store(bucket)
    store.check_access()
    yield store


@contextmanager
def _translate_s3_errors() -> Iterator[None]:
    """Raise an S3 error of the block as an error of the store."""
    try:
        yield
    except S3Error as refusal:
        raise refusal.to_store_error() from None
