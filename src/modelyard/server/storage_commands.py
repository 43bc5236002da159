"""``modelyard storage``: what the operator may ask of the place where the models are, and tell it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from modelyard.server.console import refusals_in_words, settings_or_exit
from modelyard.server.parts import bucket_of, opened_store
from modelyard.server.settings import Settings
from modelyard.server.storage import s3_setup
from modelyard.server.storage.blob_store import BlobStore, Honesty
from modelyard.server.storage.s3 import S3Store
from modelyard.server.storage.s3_errors import Refusal

app = typer.Typer(no_args_is_help=True, help="Try and set up the place where the models are.")
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for the database and the stored models.")]

# What the probe looks at: the claim, and what follows where it does not hold.
PROMISES = {
    "refuses_wrong_checksum": (
        "refuses a file that has another checksum than was signed",
        "A file that was damaged on its way is found only when the registry reads it, before anyone may download it.",
    ),
    "refuses_overwrite": (
        "refuses to write over a file that is there",
        "Whoever holds an upload URL could change the file for an hour, so verified files are copied inside the store, "
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


@app.command()
def probe(
    data_dir: DataDir = None, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Try what the store enforces, on files of the probe's own; exit code 0 if it keeps every promise."""
    settings = settings_or_exit(data_dir=data_dir)
    with refusals_in_words(), _store(settings) as store:
        honesty = store.probe()
    if as_json:
        typer.echo(json.dumps({"store": name_of(settings), "is_honest": honesty.is_honest, **vars(honesty)}))
    else:
        _print_honesty(name_of(settings), honesty)
    if not honesty.is_honest:
        raise typer.Exit(1)


def _print_honesty(name: str, honesty: Honesty) -> None:
    typer.echo(f"{name}\n")
    for promise, (claim, consequence) in PROMISES.items():
        holds = getattr(honesty, promise)
        typer.echo(f"  {'yes' if holds else 'no ':3}  {claim}")
        if not holds:
            typer.echo(f"       {consequence}")
    for remark in honesty.remarks:
        typer.echo(f"\n  {remark}")
    typer.echo("\nThe store keeps every promise." if honesty.is_honest else "\nThe store does not keep every promise.")


@app.command()
def setup(
    create: Annotated[bool, typer.Option("--create", help="Make the bucket if it is not there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the rules as JSON, and change nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Tell the bucket whose pages may use it, and to throw unfinished uploads away."""
    settings = settings_or_exit(data_dir=data_dir)
    bucket = bucket_of(settings)
    if bucket is None:
        typer.echo(f"Models are kept in the folder {settings.data_dir}, which needs no set-up.")
        return
    store = S3Store(bucket)
    with refusals_in_words(), _refusals_as_errors():
        if create and not dry_run:
            made = s3_setup.create_bucket(store.connections)
            typer.echo(f"The bucket '{bucket.name}' {'was made' if made else 'is there already'}.")
        store.check()
        rules = s3_setup.rules_wanted(store.connections, page_origins(settings), settings.upload_days)
    if dry_run:
        typer.echo(json.dumps({"CORSRules": rules.cors, "Rules": rules.lifecycle}, indent=2, default=str))
        return
    _apply(store, settings, rules)


def page_origins(settings: Settings) -> tuple[str, ...]:
    """The addresses of pages that send files to the bucket: our own, and those that may call the registry."""
    own = () if settings.public_url is None else (settings.public_url,)
    return tuple(dict.fromkeys((*own, *settings.cors_origins)))


def _apply(store: S3Store, settings: Settings, rules: s3_setup.Rules) -> None:
    origins, days = page_origins(settings), settings.upload_days + 1
    done = []
    if origins:
        what = f"pages of {', '.join(origins)} may use the bucket"
        done.append(_did(what, lambda: s3_setup.put_page_rule(store.connections, rules)))
    else:
        typer.echo("No page needs the bucket: neither MODELYARD_PUBLIC_URL nor MODELYARD_CORS_ORIGINS is set.")
    what = f"unfinished uploads below '{store.bucket.name_of('')}' are thrown away after {days} days"
    done.append(_did(what, lambda: s3_setup.put_uploads_rule(store.connections, rules)))
    if not all(done):
        raise typer.Exit(1)


def _did(what: str, put: Callable[[], None]) -> bool:
    """Do it and say so; a store that has no such rules says no, and the other rule is still worth a try."""
    with refusals_in_words():
        try:
            put()
        except Refusal as refusal:
            typer.echo(f"Not done: {what}. {refusal.as_error().detail}", err=True)
            return False
    typer.echo(f"Done: {what}.")
    return True


def name_of(settings: Settings) -> str:
    """Where the models are, for people."""
    if settings.storage_url is None:
        return f"the folder {settings.data_dir}"
    return settings.storage_url + (f" at {settings.storage_endpoint}" if settings.storage_endpoint else "")


@contextmanager
def _store(settings: Settings) -> Iterator[BlobStore]:
    """The store alone: a bucket needs no database; a folder is opened by one process at a time.

    Raises:
        BucketRefused, FolderInUse, StoreUnavailable
    """
    bucket = bucket_of(settings)
    if bucket is None:
        with opened_store(settings) as (_, folder):
            yield folder
        return
    store = S3Store(bucket)
    store.check()
    yield store


@contextmanager
def _refusals_as_errors() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise refusal.as_error() from None
