"""From release 0.3.0 to versions: chains of replaced models become one model each, and nothing else changes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select, text

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from modelyard.server.models.replicas.tables import AgentModelRow, AgentRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.models.versions.history import load_previous_version
from modelyard.server.models.versions.states import get_version_status
from modelyard.server.uploads.tables import UploadRow
from tests.server.database.first_release import FirstRelease, format_uuid, new_id, upgrade_to

pytestmark = pytest.mark.slow
CASE = pytest.mark.extended(reason="another case of one old migration; replaced models are in `make check`")

# The schema of release 0.3.0.
RELEASED = "0006"
BEFORE_HISTORY = "0060"
PATH = "loras/nightly.safetensors"
OTHER_PATH = "loras/other.safetensors"


class ReleasedDatabase:
    """The database of release 0.3.0, into which tests insert models as that release left them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.count = 0

    def add_model(
        self,
        word: str,
        *,
        path: str = PATH,
        verification: str = "verified",
        replaces: str | None = None,
        **changed: Any,
    ) -> str:
        """Insert a model with a blob, an upload and its events; return its id. Each is an hour younger than the last.

        A model that it ``replaces`` must be in the trash already.
        """
        self.count += 1
        model_id, blob_id = new_id(0x700 + self.count), new_id(0x800 + self.count)
        created_at = self._format_time()
        state: dict[str, Any] = {"verification": verification, "created_at": created_at}
        state["verified_at"] = created_at if verification == "verified" else None
        file_hash, key = f"{word.encode().hex():0<64}", f"models/{model_id}/{blob_id}"
        self._insert("blobs", id=blob_id, store_key=key, sha256=file_hash, **state)
        values: dict[str, Any] = {
            "id": model_id,
            "blob_id": blob_id,
            "storage_key": key,
            "file_hash": f"sha256:{file_hash}",
        }
        values |= {"model_path": path, "path_key": path, "display_name": word, "deleted_at": None}
        self._insert("models", **(values | state | changed))
        self._insert("model_tags", model_id=model_id, is_deleted="deleted_at" in changed, created_at=created_at)
        self._insert("uploads", id=new_id(0x900 + self.count), storage_key=key, blob_id=blob_id, model_id=model_id)
        facts = {"model_path": path} | ({"replaces": format_uuid(replaces)} if replaces else {})
        if replaces:
            self.add_event("model.replaced", replaces)
        self.add_event("model.registered", model_id, **facts)
        return model_id

    def add_versions(self, model_id: str, promoted: list[int], current: int | None) -> None:
        """Insert versions 2 and 3 of a model in a later schema; ``promoted`` were current once."""
        for number in (2, 3):
            self._insert("model_versions", model_id=model_id, number=number)
        self.change("models", model_id, "current_version = :current", current=current)
        statement = text("UPDATE model_versions SET promoted_at = :at WHERE model_id = :id AND number = :number")
        with self._begin() as connection:
            for number in (1, 2, 3):
                at = self._format_time() if number in promoted else None
                connection.execute(statement, {"at": at, "id": model_id, "number": number})

    def add_trashed(self, word: str, **changed: Any) -> str:
        return self.add_model(word, deleted_at=self._format_time(), **changed)

    def add_event(self, action: str, model_id: str, **facts: Any) -> None:
        self.count += 1
        event_id = new_id(0xA000 + self.count)
        self._insert(
            "audit_events", id=event_id, action=action, object_id=format_uuid(model_id), facts=json.dumps(facts)
        )

    def change(self, table: str, model_id: str, assignment: str, **values: Any) -> None:
        with self._begin() as connection:
            statement = text(f"UPDATE {table} SET {assignment} WHERE id = :id")  # noqa: S608 - our own names
            connection.execute(statement, values | {"id": model_id})

    def add_ready_machine(self, model_id: str) -> None:
        """Insert a machine that has reported the model as ready."""
        with self._begin() as connection:
            credential = connection.execute(text("SELECT id, team_id FROM credentials LIMIT 1")).one()
            values = {"team_id": credential.team_id, "credential_id": credential.id, "now": self._format_time()}
            connection.execute(text(AGENT), values)
            number = connection.execute(text("SELECT number FROM agents")).scalar_one()
            connection.execute(text(STATE), {"number": number, "model_id": model_id, "now": self._format_time()})
            connection.execute(text("UPDATE models SET agents_ready = 1 WHERE id = :id"), {"id": model_id})

    def _insert(self, table: str, **values: Any) -> None:
        """Insert a copy of the table's first row with these values."""
        with self._begin() as connection:
            row = connection.execute(text(f"SELECT * FROM {table} LIMIT 1")).mappings().one()  # noqa: S608 - our own names
            known = {
                name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()
            }
            names = ", ".join(known)
            places = ", ".join(f":{name}" for name in known)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), known | values)  # noqa: S608 - our own names

    def _begin(self) -> Any:
        return self.database.engine.begin()

    def _format_time(self) -> str:
        return (datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=self.count)).strftime("%Y-%m-%d %H:%M:%S.%f")


AGENT = """
INSERT INTO agents (team_id, agent_id, credential_id, own_labels, central_labels, label_set, agent_status,
    agent_version, platform_arch, sync_phase, bytes_held, removal_waiting, paused, sync_asked, orders, report_series,
    report_number, models_ready, connected_at, last_heartbeat)
VALUES (:team_id, 'render-07', :credential_id, '[]', '[]', '', 'idle', '0.3.0', 'linux', 'idle', 0, 0, false, false, 0,
    'one', 1, 1, :now, :now)
"""
STATE = """
INSERT INTO agent_models (agent_number, model_id, state, bytes_done, reported_at)
VALUES (:number, :model_id, 'ready', 0, :now)
"""


@pytest.fixture
def released(database: Database, database_url: str, tmp_path: Path) -> ReleasedDatabase:
    FirstRelease().write(database_url, tmp_path)
    upgrade_to(database, RELEASED)
    return ReleasedDatabase(database)


def upgrade(released: ReleasedDatabase) -> None:
    migrate(released.database.engine)


def load_model(released: ReleasedDatabase, model_id: str) -> ModelRow | None:
    with released.database.reading() as session:
        return session.get(ModelRow, UUID(model_id))


def list_versions(released: ReleasedDatabase, model_id: str) -> list[tuple[int, str, str]]:
    """Return number, state and hash word of each version, oldest first."""
    with released.database.reading() as session:
        model = session.get_one(ModelRow, UUID(model_id))
        of_model = select(ModelVersionRow).where(ModelVersionRow.model_id == model.id).order_by(ModelVersionRow.number)
        return [
            (version.number, get_version_status(model, version), decode_hash(version.file_hash))
            for version in session.scalars(of_model)
        ]


def decode_hash(file_hash: str) -> str:
    return bytes.fromhex(file_hash.removeprefix("sha256:")).rstrip(b"\0").decode()


@CASE
def test_upgrade_each_model_has_one_version(released: ReleasedDatabase) -> None:
    verified = released.add_model("good")
    pending = released.add_model("new", path=OTHER_PATH, verification="pending")
    trashed = released.add_trashed("gone", path="loras/gone.safetensors")
    upgrade(released)
    assert list_versions(released, verified) == [(1, "current", "good")]
    assert list_versions(released, pending) == [(1, "pending", "new")]
    assert list_versions(released, trashed) == [(1, "current", "gone")]


def test_upgrade_replaced_models_become_versions_of_the_last_one(released: ReleasedDatabase) -> None:
    first = released.add_trashed("one")
    second = released.add_trashed("two", replaces=first)
    third = released.add_model("three", replaces=second)
    upgrade(released)
    assert list_versions(released, third) == [(1, "replaced", "one"), (2, "replaced", "two"), (3, "current", "three")]
    model = load_model(released, third)
    assert model is not None
    assert (model.version_count, model.latest_version, model.pending_version) == (3, 3, None)
    assert (load_model(released, first), load_model(released, second)) == (None, None)
    with released.database.reading() as session:
        assert load_previous_version(session, session.get_one(ModelRow, UUID(third))) == 2


def test_upgrade_history_has_the_versions_that_were_current_up_to_the_current_one(released: ReleasedDatabase) -> None:
    # What was current once, the current version, and the positions of versions 1 to 3.
    cases: dict[str, tuple[list[int], int | None, list[int | None]]] = {
        "newest is current": ([1, 2, 3], 3, [1, 2, 3]),
        "rolled back": ([1, 2, 3], 2, [1, 2, None]),
        "one was never current": ([1, 3], 3, [1, None, 3]),
        "newest is pending": ([1, 2], 2, [1, 2, None]),
        "none was current": ([], None, [None, None, None]),
    }
    models = {name: released.add_model(name, path=f"loras/{name}.safetensors") for name in cases}
    upgrade_to(released.database, BEFORE_HISTORY)
    for name, (promoted, current, _) in cases.items():
        released.add_versions(models[name], promoted, current)
    upgrade(released)
    with released.database.reading() as session:
        rows = session.query(ModelVersionRow).order_by(ModelVersionRow.number).all()
    for name, (_, _, positions) in cases.items():
        assert [row.history_position for row in rows if row.model_id == UUID(models[name])] == positions, name


@pytest.mark.parametrize(("verification", "state"), [("pending", "pending"), ("failed", "failed")])
@CASE
def test_upgrade_stand_in_becomes_the_current_version_of_its_unverified_successor(
    released: ReleasedDatabase, verification: str, state: str
) -> None:
    old = released.add_trashed("old")
    released.add_ready_machine(old)
    new = released.add_model("new", verification=verification, replaces=old)
    released.change("models", old, "stands_in_for = :successor", successor=new)
    upgrade(released)
    assert list_versions(released, new) == [(1, "current", "old"), (2, state, "new")]
    model = load_model(released, new)
    assert model is not None
    shown = (decode_hash(model.file_hash), model.verification, model.current_version, model.pending_version)
    assert shown == ("old", "verified", 1, 2)
    # The machine reports again once it has a manifest with versions.
    with released.database.reading() as session:
        assert session.scalars(select(AgentModelRow)).all() == []
        assert (model.agents_ready, session.scalar(select(AgentRow.models_ready))) == (0, 0)


@CASE
def test_upgrade_several_replacements_before_verification_keep_the_last_verified_one_current(
    released: ReleasedDatabase,
) -> None:
    old = released.add_trashed("old")
    unread = released.add_trashed("unread", verification="pending", replaces=old)
    new = released.add_model("new", verification="pending", replaces=unread)
    released.change("models", old, "stands_in_for = :successor", successor=new)
    upgrade(released)
    assert list_versions(released, new) == [(1, "current", "old"), (2, "superseded", "unread"), (3, "pending", "new")]


@CASE
def test_upgrade_model_that_was_restored_or_moved_after_its_replacement_stays_a_model(
    released: ReleasedDatabase,
) -> None:
    restored, deleted, moved = (released.add_trashed(word) for word in ("restored", "deleted", "moved"))
    last = {
        old: released.add_trashed(f"new {number}", replaces=old)
        for number, old in enumerate((restored, deleted, moved))
    }
    released.add_event("model.restored", restored)
    released.change("models", restored, "deleted_at = NULL")
    released.add_event("model.restored", deleted)
    released.add_event("model.deleted", deleted)
    released.change("models", last[moved], "path_key = 'loras/elsewhere.safetensors'")
    upgrade(released)
    for old, new in last.items():
        assert len(list_versions(released, old)) == len(list_versions(released, new)) == 1


@CASE
def test_upgrade_uploads_name_the_model_that_has_their_version(released: ReleasedDatabase) -> None:
    old = released.add_trashed("old")
    new = released.add_model("new", replaces=old)
    upgrade(released)
    with released.database.reading() as session:
        owners = session.scalars(select(UploadRow.model_id).where(UploadRow.storage_key.like(f"models/{old}%")))
        assert [str(model_id) for model_id in owners] == [format_uuid(new)]


@CASE
def test_upgrade_search_finds_the_models_of_the_chain_only_once(released: ReleasedDatabase) -> None:
    if not is_sqlite(released.database.engine):
        pytest.skip("PostgreSQL searches the table itself; its index needs no triggers")
    new = released.add_model("new", replaces=released.add_trashed("old"))
    upgrade(released)
    with released.database.engine.begin() as connection:
        assert count_search_rows(connection, new) == 1
        connection.execute(text("UPDATE models SET searched = 'nocturne' WHERE id = :id"), {"id": new})
        found = connection.execute(text("SELECT count(*) FROM search_words('nocturne')")).scalar_one()
    assert found == 1


def count_search_rows(connection: Connection, model_id: str) -> int:
    statement = text("SELECT count(*) FROM search_places WHERE model_id = :id")
    return int(connection.execute(statement, {"id": model_id}).scalar_one())
