"""A registry of the first release: schema 0001 with rows in every table, and its folder of objects.

All rows are literal, independent of today's tables, whose changes must not affect them.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from sqlalchemy import text

from modelyard.server.database.engine import is_sqlite
from modelyard.server.database.migrations import _config
from modelyard.server.database.session import Database
from modelyard.server.identity import keys
from tests.server.conftest import CHEAP
from tests.server.harness import PASSWORD, make_model_file

Value = str | int | None
Row = Mapping[str, Value]
OWNER, MEMBER = "Owner@studio.test", "member@studio.test"
TEAM, GONE_TEAM = "0199a1de7c1e7a529d3b5f0c2f6f7a10", "0199a1de7c1e7a529d3b5f0c2f6f7a11"
OWNER_ID, MEMBER_ID = "0199a1de7c1e7a529d3b5f0c2f6f7b10", "0199a1de7c1e7a529d3b5f0c2f6f7b11"
SIGN_IN, DEVICE = "0199a1de7c1e7a529d3b5f0c2f6f7c10", "0199a1de7c1e7a529d3b5f0c2f6f7d10"
PAIRED_CODE = "ABCD2345"


def new_id(number: int) -> str:
    return f"0199a1de7c1e7a529d3b5f0c2f6f{number:04x}"


def format_uuid(hexadecimal: str) -> str:
    return "-".join((hexadecimal[:8], hexadecimal[8:12], hexadecimal[12:16], hexadecimal[16:20], hexadecimal[20:]))


def format_days_ago(days: float = 0) -> str:
    """Format the time so many days ago, as SQLite stores it."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")


def hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def upgrade_to(database: Database, revision: str) -> None:
    """Apply the migrations up to this revision."""
    config = _config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


class FirstRelease:
    """The content of that registry, and the secrets that users had, as ``tokens`` by kind."""

    def __init__(self) -> None:
        kinds = {"integration": "sk-", "device": "dk-", "agent": "ak-", "refresh": "mr-", "spent": "mr-"}
        kinds |= {"demoted": "sk-"} | {"invitation": "in-", "orphan": "in-", "pairing": "pc-", "reset": "rs-"}
        self.tokens = {kind: keys.generate_token(prefix).raw for kind, prefix in kinds.items()}
        # (state, living or not, enabled or not) of each model, by the word that its bytes and names are made of.
        self.models = {
            "verified": ("verified", True, "active"),
            "pending": ("pending", True, "active"),
            "failed": ("failed", True, "active"),
            "disabled": ("verified", True, "disabled"),
            "trashed": ("verified", False, "active"),
        }

    def write(self, url: str, data_dir: Path) -> None:
        """Create the database at schema 0001 and the folder of objects."""
        database = Database(url)
        upgrade_to(database, "0001")
        with database.engine.begin() as connection:
            if not is_sqlite(database.engine):
                connection.execute(text("SET LOCAL timezone = 'UTC'"))
            for table, rows in self._build_tables().items():
                for row in rows:
                    columns = ", ".join(row)
                    values = ", ".join(f":{name}" for name in row)
                    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), dict(row))  # noqa: S608 - our own names
        database.close()
        for number, word in enumerate(self.models):
            if word != "failed":
                _write_object(data_dir, _store_key(number), make_model_file(word))

    def _build_tables(self) -> dict[str, list[Row]]:
        """Return the rows by table, in an order in which references point backwards."""
        bytes_held = sum(len(make_model_file(word)) for word in self.models)
        return {
            "secrets": [{"name": "access-tokens", "value": "a" * 64}, {"name": "signed-urls", "value": "b" * 64}],
            "teams": [_build_team(TEAM, None), _build_team(GONE_TEAM, format_days_ago(1))],
            "team_totals": [_build_totals(TEAM, 4, bytes_held), _build_totals(GONE_TEAM, 0, 0)],
            "users": [_build_user(OWNER_ID, OWNER, "Registry"), _build_user(MEMBER_ID, MEMBER, "Mia")],
            "members": [
                _build_member(TEAM, OWNER_ID, "owner"),
                _build_member(TEAM, MEMBER_ID, "member"),
                _build_member(GONE_TEAM, OWNER_ID, "owner"),
            ],
            "sign_ins": [
                {"id": SIGN_IN, "user_id": OWNER_ID, "token_hash": hash_token(self.tokens["refresh"])}
                | {"created_at": format_days_ago(2), "expires_at": format_days_ago(-28), "ended_at": None}
            ],
            "spent_tokens": [
                {"token_hash": hash_token(self.tokens["spent"]), "sign_in_id": SIGN_IN, "spent_at": format_days_ago(2)},
            ],
            "credentials": self._build_credentials(),
            "invitations": self._build_invitations(),
            "pairings": [
                {"id": new_id(2), "device_code_hash": hash_token(self.tokens["pairing"]), "user_code": PAIRED_CODE}
                | {"address": "127.0.0.1", "device_name": None, "team_id": None, "user_id": None}
                | {"created_at": format_days_ago(), "expires_at": format_days_ago(-1)}
            ],
            "password_resets": [
                {"token_hash": hash_token(self.tokens["reset"]), "user_id": MEMBER_ID}
                | {"created_at": format_days_ago(), "expires_at": format_days_ago(-1)}
            ],
            "audit_events": [
                _build_event(new_id(3), "team.created", "{}"),
                _build_event(new_id(4), "model.registered", '{"a": 1}'),
                _build_event(new_id(9), "invitation.created", "{}", format_uuid(new_id(1))),
                _build_event(new_id(0x20), "model.rotten", "{}"),
                _build_event(new_id(0x21), "model.healed", "{}"),
            ],
            "blobs": [
                _build_blob(number, word, state) for number, (word, (state, *_)) in enumerate(self.models.items())
            ],
            "uploads": [_build_upload(number, word) for number, word in enumerate(self.models)]
            + [_build_open_upload()],
            "models": [_build_model(number, word, *how) for number, (word, how) in enumerate(self.models.items())],
            "model_tags": [
                {"model_id": new_id(0x300 + number), "tag": "ink", "team_id": TEAM}
                for number in range(len(self.models))
            ],
        }

    def _build_invitations(self) -> list[Row]:
        return [
            self._build_invitation(new_id(1), "invitation", "new@studio.test"),
            # Nothing says who made it.
            self._build_invitation(new_id(8), "orphan", "old@studio.test"),
        ]

    def _build_invitation(self, id_: str, token: str, email: str) -> Row:
        named = {"id": id_, "team_id": TEAM, "email_address": email, "email_key": email, "role": "viewer"}
        ends = {"expires_at": format_days_ago(-6), "ended_at": None, "accepted_by": None}
        return named | {"token_hash": hash_token(self.tokens[token]), "created_at": format_days_ago(1)} | ends

    def _build_credentials(self) -> list[Row]:
        return [
            self._build_credential(new_id(5), "integration", "write", None),
            self._build_credential(DEVICE, "device", "write", None),
            self._build_credential(new_id(6), "agent", "read", DEVICE),
            # Made while its maker was still an admin.
            {
                **self._build_credential(new_id(7), "integration", "write", None),
                "user_id": MEMBER_ID,
                "display_name": "old demoted",
                "key_hash": hash_token(self.tokens["demoted"]),
            },
        ]

    def _build_credential(self, id_: str, kind: str, access: str, paired_with: str | None) -> Row:
        raw = self.tokens[kind]
        return {
            "id": id_,
            "team_id": TEAM,
            "kind": kind,
            "display_name": f"old {kind}",
            "key_prefix": raw[:11],
            "key_hash": hash_token(raw),
            "user_id": OWNER_ID,
            "access": access,
            "agent_id": None,
            "paired_with": paired_with,
            "created_at": format_days_ago(3),
            "last_used_at": None,
            "expires_at": None,
            "revoked_at": None,
            "suspended_at": None,
        }


def _build_team(id_: str, deleted_at: str | None) -> Row:
    named = {"id": id_, "display_name": "Studio", "pickle_policy": "block"}
    return named | {"quota_bytes": 10**12, "created_at": format_days_ago(5), "deleted_at": deleted_at}


def _build_totals(team_id: str, models: int, stored: int) -> Row:
    return {"team_id": team_id, "revision": 7, "living_models": models, "stored_bytes": stored}


def _build_user(id_: str, email: str, first_name: str) -> Row:
    named = {"id": id_, "email_address": email, "email_key": email.casefold(), "first_name": first_name}
    return named | {"last_name": "Ø", "password_hash": CHEAP.hash(PASSWORD), "created_at": format_days_ago(5)}


def _build_member(team_id: str, user_id: str, role: str) -> Row:
    return {"team_id": team_id, "user_id": user_id, "role": role, "joined_at": format_days_ago(5)}


def _build_event(id_: str, action: str, facts: str, object_id: str = "x") -> Row:
    who = {"actor_kind": "user", "actor_id": format_uuid(OWNER_ID), "actor_name": "Registry Ø"}
    what = {"action": action, "object_id": object_id, "facts": facts}
    return who | what | {"id": id_, "team_id": TEAM, "created_at": format_days_ago(5)}


def _store_key(number: int) -> str:
    return f"models/{format_uuid(TEAM)}/{format_uuid(new_id(0x200 + number))}"


def _build_blob(number: int, word: str, state: str) -> Row:
    content = make_model_file(word)
    return {
        "id": new_id(0x100 + number),
        "team_id": TEAM,
        "sha256": hashlib.sha256(content).hexdigest(),
        "blake3": "0" * 64 if state == "verified" else None,
        "size": len(content),
        "store_key": _store_key(number),
        "verification": state,
        "unused_since": None,
        "created_at": format_days_ago(4),
        "verification_error": "The bytes are gone from the store." if state == "failed" else None,
        "leased_until": None,
        "checked_at": None if state == "pending" else format_days_ago(4),
    }


def _build_upload(number: int, word: str) -> Row:
    return {
        "id": new_id(0x200 + number),
        "team_id": TEAM,
        "storage_key": _store_key(number),
        "file_name": word,
        "file_size": len(make_model_file(word)),
        "file_hash": None,
        "creator_kind": "user",
        "creator_id": OWNER_ID,
        "multipart_id": None,
        "part_size": None,
        "blob_id": new_id(0x100 + number),
        "model_id": new_id(0x300 + number),
        "registered_at": format_days_ago(4),
        "created_at": format_days_ago(4),
        "touched_at": format_days_ago(4),
    }


def _build_open_upload() -> Row:
    """Build an upload that was started an hour ago and has received nothing."""
    nothing = {"blob_id": None, "model_id": None, "registered_at": None, "file_hash": None}
    return {
        **_build_upload(0x50, "open"),
        **nothing,
        "created_at": format_days_ago(0.04),
        "touched_at": format_days_ago(0.04),
    }


def _build_model(number: int, word: str, state: str, is_living: bool, status: str) -> Row:
    blob = _build_blob(number, word, state)
    path = f"loras/{word}.safetensors"
    return {
        "id": new_id(0x300 + number),
        "team_id": TEAM,
        "display_name": word,
        "model_type": "loras",
        "canonical_type": "loras",
        "model_path": path,
        "path_key": path,
        "storage_key": _store_key(number),
        "blob_id": blob["id"],
        "file_size": blob["size"],
        "file_hash": f"sha256:{blob['sha256']}",
        "model_status": status,
        "verification": state,
        "verification_error": blob["verification_error"],
        "blake3_hash": f"blake3:{'0' * 64}" if state == "verified" else None,
        "creator_kind": "user",
        "creator_id": MEMBER_ID,
        "creator_name": "Mia Ø",
        "description": None,
        "tags": '["ink"]',
        "license": None,
        "source_url": None,
        "required_labels": json.dumps(["gpu24", "big"] if word == "verified" else []),
        "facts": '{"format": "safetensors"}',
        "version": 3,
        "searched": f"{word}\n{path}\nink",
        "created_at": format_days_ago(4 - number / 100),
        "updated_at": format_days_ago(3),
        "deleted_at": None if is_living else format_days_ago(2),
    }


def _write_object(data_dir: Path, key: str, content: bytes) -> None:
    folder = data_dir / "objects" / key
    folder.mkdir(parents=True)
    (folder / "bytes").write_bytes(content)
    about = {"key": key, "upload": "", "size": len(content), "part_size": len(content), "started": 1.0}
    (folder / "about.json").write_text(json.dumps(about))
