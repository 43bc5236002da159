"""A team with very many models of the kind that people have: names, paths, tags, sizes, states."""

import hashlib
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, insert, text

from modelyard.server import changes
from modelyard.server.database.base import now
from modelyard.server.database.session import Database, table_of
from modelyard.server.models.tables import ModelRow, ModelTagRow, searched_text
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
# One model in so many has this word in its name, whatever else; "zanzibar" is in three of any number.
SPRINKLED = {"daguerreotype": 10, "chiaroscuro": 100, "sfumato": 1000}
RAREST = "zanzibar"
BEGAN = datetime(2025, 1, 1, tzinfo=UTC)
AT_ONCE = 10_000


def fill(database: Database, team_id: UUID, count: int, *, are_wanted: bool = False) -> None:
    """Add ``count`` models to a team. They share one blob: what is measured never looks at bytes.

    ``are_wanted``: each is what machines should hold, and as large as its ``content_of``.
    """
    blob_id = uuid4()
    with database.writing(team_id) as session:
        session.connection().execute(insert(table_of(BlobRow)), [_blob(team_id, blob_id)])
    rows = models(team_id, blob_id, count)
    if are_wanted:
        rows = (row | _wanted(number) for number, row in enumerate(rows))
    # Indexes are written everywhere at once: with the cache of a server it would take an hour.
    is_sqlite = database.engine.dialect.name == "sqlite"
    while some := list(islice(rows, AT_ONCE)):
        living = sum(row["deleted_at"] is None for row in some)
        with database.writing(team_id) as session:
            if is_sqlite:
                session.execute(text("PRAGMA cache_size=-1000000"))
            _write(session.connection(), ModelRow, some)
            _write(session.connection(), ModelTagRow, [tag for model in some for tag in _tags(model)])
            changes.raise_revision(session, team_id, models=living)
    # What is measured afterwards has the cache of a server again.
    database.engine.dispose()


def models(team_id: UUID, blob_id: UUID, count: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Rows of models, oldest first, the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - made-up names are no secrets
    types = chance.choices(list(TYPES), list(TYPES.values()), k=count)
    rarest = {count // 5, count // 2, count - count // 7}
    for number, kind in enumerate(types):
        family, subject, artist = chance.choice(FAMILIES), chance.choice(SUBJECTS), chance.choice(ARTISTS)
        words = [word for word, every in SPRINKLED.items() if chance.randrange(every) == 0]
        words += [RAREST] if number in rarest else []
        name = f"{family.upper()} {' '.join([*words, subject]).title()} by {artist.title()} {number}"
        path = f"{kind}/{family}/{subject}/{family}_{subject}_{artist}_{number:07}_v{chance.randint(1, 9)}.safetensors"
        tags = [tag for tag in (family, subject, artist, f"project {number % 997}") if chance.random() < 0.6]
        yield _model(chance, number, kind, name, path, tags) | {"team_id": team_id, "blob_id": blob_id}


def hash_of(number: int) -> str:
    """What the model of this number claims of its bytes."""
    return "sha256:" + hashlib.sha256(content_of(number)).hexdigest()


def content_of(number: int) -> bytes:
    """What has the hash that the model of this number claims."""
    return f"{number}".encode()


def _wanted(number: int) -> dict[str, Any]:
    is_wanted = {"model_status": "active", "verification": "verified", "deleted_at": None}
    return {"file_size": len(content_of(number)), **is_wanted}


def _model(chance: random.Random, number: int, kind: str, name: str, path: str, tags: list[str]) -> dict[str, Any]:
    made = BEGAN + timedelta(seconds=31 * number, microseconds=chance.randrange(10**6))
    return {
        "id": UUID(int=chance.getrandbits(128), version=4),
        "display_name": name,
        "model_type": kind,
        "canonical_type": kind,
        "model_path": path,
        "path_key": path,
        "storage_key": f"models/bench/{number}",
        "file_size": chance.choice((144, 228, 335, 2_132, 4_265, 6_938, 23_803)) * 10**6 + chance.randrange(10**6),
        "file_hash": hash_of(number),
        "model_status": "disabled" if chance.random() < 0.02 else "active",
        "verification": chance.choices(("verified", "pending", "failed"), (980, 15, 5))[0],
        "verification_error": None,
        "verified_at": made,
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
        "searched": searched_text(name, path, tags),
        "version": 1,
        "created_at": made,
        "updated_at": made,
        "deleted_at": now() if chance.random() < 0.01 else None,
    }


def _tags(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for tag in model["tags"]:
        yield {
            "model_id": model["id"],
            "tag": tag,
            "team_id": model["team_id"],
            "created_at": model["created_at"],
            "is_deleted": model["deleted_at"] is not None,
        }


def _blob(team_id: UUID, blob_id: UUID) -> dict[str, Any]:
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


def _write(connection: Connection, kind: type[ModelRow | ModelTagRow], rows: list[dict[str, Any]]) -> None:
    table = table_of(kind)
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    driver: Any = connection.connection.driver_connection
    columns = list(rows[0])
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([json.dumps(value) if isinstance(value, list | dict) else value for value in row.values()])
