"""Generates database rows of very many realistic models: names, paths, tags, sizes and states."""

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, text

from modelyard.server import revisions
from modelyard.server.database.base import now
from modelyard.server.database.session import Database, get_table
from modelyard.server.models.search_text import build_search_text
from modelyard.server.models.tables import (
    CONTENT_COLUMNS,
    ModelRow,
    ModelTagRow,
    ModelVersionRow,
)
from modelyard.server.uploads.tables import BlobRow

FAMILIES = ("sdxl", "flux", "sd15", "pony", "wan", "qwen", "hunyuan", "illustrious", "chroma", "ltxv")
SUBJECTS = (
    "portrait", "landscape", "product", "anime", "ink", "comic", "film", "noir", "watercolor", "sketch", "hero",
    "vehicle", "armor", "dress", "city", "forest", "mech", "logo", "isometric", "pixel", "oil", "clay", "studio",
    "lighting", "detail", "hands", "eyes", "skin", "fabric", "metal", "smoke", "water", "glass", "neon", "marble",
)  # fmt: skip
ARTISTS = ("aurora", "kestrel", "mira", "novak", "onyx", "petra", "quill", "rowan", "sable", "tamsin", "umber", "wren")
TYPES = {
    "loras": 60, "checkpoints": 15, "embeddings": 8, "controlnet": 6, "diffusion_models": 4, "vae": 3,
    "upscale_models": 3, "text_encoders": 1,
}  # fmt: skip
# One model in so many has this word in its name; "zanzibar" is in the names of three, however many there are.
RARE_WORDS = {"daguerreotype": 10, "chiaroscuro": 100, "sfumato": 1000}
RAREST_WORD = "zanzibar"
FIRST_CREATED_AT = datetime(2025, 1, 1, tzinfo=UTC)
BATCH_SIZE = 10_000


def insert_models(
    database: Database, team_id: UUID, count: int, *, are_desired: bool = False, have_own_blobs: bool = False
) -> None:
    """Insert ``count`` generated models into a team; all share one blob, as no benchmark reads their bytes.

    With ``are_desired`` each is active and verified, so that machines download it, with the size of its
    ``build_content``. With ``have_own_blobs`` each has a blob of its own, with all hashes.
    """
    blob_id = uuid4()
    with database.writing(team_id) as session:
        session.connection().execute(insert(get_table(BlobRow)), [_build_blob_row(team_id, blob_id)])
    rows = generate_rows(team_id, blob_id, count)
    if are_desired:
        rows = (row | _desired_fields(number) for number, row in enumerate(rows))
    # Index pages are written in random order: with a server's cache size this would take an hour.
    is_sqlite = database.engine.dialect.name == "sqlite"
    while batch := list(islice(rows, BATCH_SIZE)):
        living = sum(row["deleted_at"] is None for row in batch)
        with database.writing(team_id) as session:
            if is_sqlite:
                session.execute(text("PRAGMA cache_size=-1000000"))
            if have_own_blobs:
                _insert_rows(session.connection(), BlobRow, [_give_own_blob(model) for model in batch])
            _insert_rows(session.connection(), ModelRow, batch)
            _insert_rows(session.connection(), ModelVersionRow, [_build_version_row(model) for model in batch])
            _insert_rows(session.connection(), ModelTagRow, [tag for model in batch for tag in _build_tag_rows(model)])
            revisions.increment_revision(session, team_id, models=living)
    # Connections opened afterwards have the server's cache size again.
    database.engine.dispose()


def generate_rows(team_id: UUID, blob_id: UUID, count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Generate model rows, oldest first; the same for the same seed."""
    random_source = random.Random(seed)  # noqa: S311 - made-up names are no secrets
    types = random_source.choices(list(TYPES), list(TYPES.values()), k=count)
    rarest_numbers = {count // 5, count // 2, count - count // 7}
    for number, kind in enumerate(types):
        family, subject, artist = (
            random_source.choice(FAMILIES),
            random_source.choice(SUBJECTS),
            random_source.choice(ARTISTS),
        )
        words = [word for word, one_in in RARE_WORDS.items() if random_source.randrange(one_in) == 0]
        words += [RAREST_WORD] if number in rarest_numbers else []
        name = f"{family.upper()} {' '.join([*words, subject]).title()} by {artist.title()} {number}"
        version = random_source.randint(1, 9)
        path = f"{kind}/{family}/{subject}/{family}_{subject}_{artist}_{number:07}_v{version}.safetensors"
        tags = [tag for tag in (family, subject, artist, f"project {number % 997}") if random_source.random() < 0.6]
        row = _build_row(random_source, number, kind, name, path, tags)
        row |= {"team_id": team_id, "blob_id": blob_id, "base_model": None if number % 5 == 0 else family}
        row["trigger_words"] = [{"text": f"{artist}{word}", "source": "file"} for word in ("", subject)]
        yield row | {"searched": build_search_text(row)}


def build_hash(number: int) -> str:
    """Return the declared hash of the model with this number, that of ``build_content``."""
    return "sha256:" + hashlib.sha256(build_content(number)).hexdigest()


def build_content(number: int) -> bytes:
    """Return the content whose hash the model with this number declares."""
    return f"{number}".encode()


def _desired_fields(number: int) -> dict[str, Any]:
    is_desired = {"model_status": "active", "verification": "verified", "deleted_at": None}
    return {"file_size": len(build_content(number)), **is_desired}


def _build_row(
    random_source: random.Random, number: int, kind: str, name: str, path: str, tags: list[str]
) -> dict[str, Any]:
    """Build one row of the models table with random states and sizes."""
    created_at = FIRST_CREATED_AT + timedelta(seconds=31 * number, microseconds=random_source.randrange(10**6))
    return {
        "id": UUID(int=random_source.getrandbits(128), version=4),
        "display_name": name,
        "model_type": kind,
        "canonical_type": kind,
        "model_path": path,
        "path_key": path,
        "storage_key": f"models/bench/{number}",
        "file_size": random_source.choice((144, 228, 335, 2_132, 4_265, 6_938, 23_803)) * 10**6
        + random_source.randrange(10**6),
        "file_hash": build_hash(number),
        "model_status": "disabled" if random_source.random() < 0.02 else "active",
        "verification": random_source.choices(("verified", "pending", "failed"), (980, 15, 5))[0],
        "verification_error": None,
        "verified_at": created_at,
        "derived_from": None,
        "total_size": None,
        "file_count": None,
        "blake3_hash": None,
        "creator_kind": "user",
        "creator_id": None,
        "creator_name": "Ada Lovelace",
        "description": "Trained on our own stills; use with the house style at 0.8." if number % 3 else None,
        "tags": tags,
        "license": "CC-BY-4.0",
        "source_url": None,
        "required_labels": [],
        "facts": {"format": "safetensors", "dtypes": {"F16": 400}, "parameters": 3_438_167_540},
        "current_version": 1,
        "etag_counter": 1,
        "created_at": created_at,
        "updated_at": created_at,
        "deleted_at": now() if random_source.random() < 0.01 else None,
    }


def _build_version_row(model: dict[str, Any]) -> dict[str, Any]:
    """Build the row of the only version of a model row."""
    copied = (*CONTENT_COLUMNS, "team_id", "creator_kind", "creator_id", "creator_name", "created_at")
    content = {name: model[name] for name in copied}
    return content | {
        "model_id": model["id"],
        "number": 1,
        **dict.fromkeys(("promoted_at", "kept_from"), model["created_at"]),
    }


def _build_tag_rows(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Build the tag rows of a model row."""
    for tag in model["tags"]:
        yield {
            "model_id": model["id"],
            "tag": tag,
            "team_id": model["team_id"],
            "created_at": model["created_at"],
            "is_deleted": model["deleted_at"] is not None,
        }


def _build_blob_row(team_id: UUID, blob_id: UUID) -> dict[str, Any]:
    return {
        "id": blob_id,
        "team_id": team_id,
        "sha256": "0" * 64,
        "size": 1,
        "store_key": f"bench/{blob_id}",
        "verification": "verified",
        "checked_at": now(),
        "verified_at": now(),
        "created_at": now(),
    }


def _give_own_blob(model: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a blob with made-up hashes and the model's declared one, and set it as the model's blob."""
    model["blob_id"] = uuid4()
    sha256 = model["file_hash"].removeprefix("sha256:")
    others = {name: hashlib.sha256(f"{name} {sha256}".encode()).hexdigest() for name in ("blake3", "autov3")}
    parts = {"autov1": others["autov3"][-8:], "crc32": others["blake3"][-8:], "tries": 0}
    return _build_blob_row(model["team_id"], model["blob_id"]) | others | parts | {"sha256": sha256}


def _insert_rows(
    connection: Connection, kind: type[BlobRow | ModelRow | ModelVersionRow | ModelTagRow], rows: list[dict[str, Any]]
) -> None:
    """Insert rows: with COPY on PostgreSQL, with a multi-row INSERT on SQLite."""
    table = get_table(kind)
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    driver: Any = connection.connection.driver_connection
    columns = list(rows[0])
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([json.dumps(value) if isinstance(value, list | dict) else value for value in row.values()])
