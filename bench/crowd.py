"""A team with very many models, made by copying one row; and the way to its far pages."""

import socket
import sqlite3
import time
import uuid
from pathlib import Path

import httpx2

from tests.server.world import Someone


def fill(data_dir: Path, count: int) -> None:
    """Copy the only model of a stopped registry until there are ``count``, each with its own path and time."""
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


def cursors(owner: Someone, page: int, per_page: int) -> list[str]:
    """The cursors on the way to a page: walked in large steps, since a cursor names a row and not a page."""
    found = [""]
    skipped = 0
    while skipped < (page - 1) * per_page:
        step = min(100, (page - 1) * per_page - skipped)
        meta = owner.get("/models", per_page=step, cursor=found[-1]).json()["page_meta"]
        if meta["next_cursor"] is None:
            break
        found.append(meta["next_cursor"])
        skipped += step
    return found


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_until_up(url: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx2.get(url, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"{url} did not come up.")
