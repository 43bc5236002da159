"""Fills a team with copies of one model row, and collects the cursors of its list pages."""

import sqlite3
import uuid
from pathlib import Path

from tests.server.harness import ApiCaller


def copy_model(data_dir: Path, count: int) -> None:
    """Copy the only model of a stopped SQLite registry until there are ``count``, each with its own path and time."""
    connection = sqlite3.connect(data_dir / "modelyard.sqlite3")
    connection.row_factory = sqlite3.Row
    [first] = connection.execute("SELECT * FROM models").fetchall()
    columns = first.keys()
    insert = f"INSERT INTO models ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names from our own schema
    for number in range(1, count):
        copied = dict(first) | {
            "id": uuid.uuid4().hex,
            "display_name": f"model {number}",
            "model_path": f"loras/m{number}.safetensors",
            "path_key": f"loras/m{number}.safetensors",
            "searched": f"model {number}\nloras/m{number}.safetensors",
            "created_at": f"2026-01-{1 + number % 28:02} 10:{number % 60:02}:{number % 59:02}.{number:06}",
        }
        connection.execute(insert, list(copied.values()))
    connection.execute("UPDATE team_totals SET living_models = ?", [count])
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()


def collect_cursors(owner: ApiCaller, page: int, per_page: int) -> list[str]:
    """Return the cursors up to a page, fetched in steps of at most 100 rows, as a cursor names a row and not a page."""
    cursors = [""]
    skipped = 0
    while skipped < (page - 1) * per_page:
        step = min(100, (page - 1) * per_page - skipped)
        meta = owner.get("/models", per_page=step, cursor=cursors[-1]).json()["page_meta"]
        if meta["next_cursor"] is None:
            break
        cursors.append(meta["next_cursor"])
        skipped += step
    return cursors
