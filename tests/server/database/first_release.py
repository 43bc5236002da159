"""A registry as the first release left it: schema 0001 with rows in every table, and its folder of bytes.

Everything is written down as text, past today's tables and shapes, which must not be able to change it.
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
from tests.server.world import PASSWORD, a_model_file

Value = str | int | None
Row = Mapping[str, Value]
OWNER, MEMBER = "Owner@studio.test", "member@studio.test"
TEAM, GONE_TEAM = "0199a1de7c1e7a529d3b5f0c2f6f7a10", "0199a1de7c1e7a529d3b5f0c2f6f7a11"
OWNER_ID, MEMBER_ID = "0199a1de7c1e7a529d3b5f0c2f6f7b10", "0199a1de7c1e7a529d3b5f0c2f6f7b11"
SIGN_IN, DEVICE = "0199a1de7c1e7a529d3b5f0c2f6f7c10", "0199a1de7c1e7a529d3b5f0c2f6f7d10"
PAIRED_CODE = "ABCD2345"


def new_id(number: int) -> str:
    return f"0199a1de7c1e7a529d3b5f0c2f6f{number:04x}"


def dashed(hexadecimal: str) -> str:
    return "-".join((hexadecimal[:8], hexadecimal[8:12], hexadecimal[12:16], hexadecimal[16:20], hexadecimal[20:]))


def at(days: float = 0) -> str:
    """So many days ago."""
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S.%f")


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


class FirstRelease:
    """What was in it, and the secrets that people kept: ``tokens`` by kind."""

    def __init__(self) -> None:
        kinds = {"integration": "sk-", "device": "dk-", "agent": "ak-", "refresh": "mr-", "spent": "mr-"}
        kinds |= {"invitation": "in-", "pairing": "pc-", "reset": "rs-"}
        self.tokens = {kind: keys.new_token(prefix).raw for kind, prefix in kinds.items()}
        # (state, living or not, enabled or not) of each model, by the word that its bytes and names are made of.
        self.models = {
            "verified": ("verified", True, "active"),
            "pending": ("pending", True, "active"),
            "failed": ("failed", True, "active"),
            "disabled": ("verified", True, "disabled"),
            "trashed": ("verified", False, "active"),
        }

    def write(self, url: str, data_dir: Path) -> None:
        """Make the database at schema 0001 and the folder beside it."""
        database = Database(url)
        config = _config()
        with database.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        with database.engine.begin() as connection:
            if not is_sqlite(database.engine):
                connection.execute(text("SET LOCAL timezone = 'UTC'"))
            for table, rows in self._tables().items():
                for row in rows:
                    columns = ", ".join(row)
                    values = ", ".join(f":{name}" for name in row)
                    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), dict(row))  # noqa: S608 - our own names
        database.close()
        for number, word in enumerate(self.models):
            if word != "failed":
                _write_object(data_dir, _store_key(number), a_model_file(word))

    def _tables(self) -> dict[str, list[Row]]:
        """In an order in which no row refers to a later one."""
        bytes_held = sum(len(a_model_file(word)) for word in self.models)
        return {
            "secrets": [{"name": "access-tokens", "value": "a" * 64}, {"name": "signed-urls", "value": "b" * 64}],
            "teams": [_team(TEAM, None), _team(GONE_TEAM, at(1))],
            "team_totals": [_totals(TEAM, 4, bytes_held), _totals(GONE_TEAM, 0, 0)],
            "users": [_user(OWNER_ID, OWNER, "Registry"), _user(MEMBER_ID, MEMBER, "Mia")],
            "members": [
                _member(TEAM, OWNER_ID, "owner"),
                _member(TEAM, MEMBER_ID, "member"),
                _member(GONE_TEAM, OWNER_ID, "owner"),
            ],
            "sign_ins": [
                {"id": SIGN_IN, "user_id": OWNER_ID, "token_hash": digest(self.tokens["refresh"])}
                | {"created_at": at(2), "expires_at": at(-28), "ended_at": None}
            ],
            "spent_tokens": [
                {"token_hash": digest(self.tokens["spent"]), "sign_in_id": SIGN_IN, "spent_at": at(2)},
            ],
            "credentials": self._credentials(),
            "invitations": [
                {"id": new_id(1), "team_id": TEAM, "email_address": "new@studio.test", "email_key": "new@studio.test"}
                | {"role": "viewer", "token_hash": digest(self.tokens["invitation"]), "created_at": at(1)}
                | {"expires_at": at(-6), "ended_at": None, "accepted_by": None}
            ],
            "pairings": [
                {"id": new_id(2), "device_code_hash": digest(self.tokens["pairing"]), "user_code": PAIRED_CODE}
                | {"address": "127.0.0.1", "device_name": None, "team_id": None, "user_id": None}
                | {"created_at": at(), "expires_at": at(-1)}
            ],
            "password_resets": [
                {"token_hash": digest(self.tokens["reset"]), "user_id": MEMBER_ID}
                | {"created_at": at(), "expires_at": at(-1)}
            ],
            "audit_events": [
                _event(new_id(3), "team.created", "{}"),
                _event(new_id(4), "model.registered", '{"a": 1}'),
            ],
            "blobs": [_blob(number, word, state) for number, (word, (state, *_)) in enumerate(self.models.items())],
            "uploads": [_upload(number, word) for number, word in enumerate(self.models)] + [_open_upload()],
            "models": [_model(number, word, *how) for number, (word, how) in enumerate(self.models.items())],
            "model_tags": [
                {"model_id": new_id(0x300 + number), "tag": "ink", "team_id": TEAM}
                for number in range(len(self.models))
            ],
        }

    def _credentials(self) -> list[Row]:
        return [
            self._credential(new_id(5), "integration", "write", None),
            self._credential(DEVICE, "device", "write", None),
            self._credential(new_id(6), "agent", "read", DEVICE),
        ]

    def _credential(self, id_: str, kind: str, access: str, paired_with: str | None) -> Row:
        raw = self.tokens[kind]
        return {
            "id": id_,
            "team_id": TEAM,
            "kind": kind,
            "display_name": f"old {kind}",
            "key_prefix": raw[:11],
            "key_hash": digest(raw),
            "user_id": OWNER_ID,
            "access": access,
            "agent_id": None,
            "paired_with": paired_with,
            "created_at": at(3),
            "last_used_at": None,
            "expires_at": None,
            "revoked_at": None,
            "suspended_at": None,
        }


def _team(id_: str, deleted_at: str | None) -> Row:
    named = {"id": id_, "display_name": "Studio", "pickle_policy": "block"}
    return named | {"quota_bytes": 10**12, "created_at": at(5), "deleted_at": deleted_at}


def _totals(team_id: str, models: int, stored: int) -> Row:
    return {"team_id": team_id, "revision": 7, "living_models": models, "stored_bytes": stored}


def _user(id_: str, email: str, first_name: str) -> Row:
    named = {"id": id_, "email_address": email, "email_key": email.casefold(), "first_name": first_name}
    return named | {"last_name": "Ø", "password_hash": CHEAP.hash(PASSWORD), "created_at": at(5)}


def _member(team_id: str, user_id: str, role: str) -> Row:
    return {"team_id": team_id, "user_id": user_id, "role": role, "joined_at": at(5)}


def _event(id_: str, action: str, facts: str) -> Row:
    who = {"actor_kind": "user", "actor_id": dashed(OWNER_ID), "actor_name": "Registry Ø"}
    return who | {"id": id_, "team_id": TEAM, "created_at": at(5), "action": action, "object_id": "x", "facts": facts}


def _store_key(number: int) -> str:
    return f"models/{dashed(TEAM)}/{dashed(new_id(0x200 + number))}"


def _blob(number: int, word: str, state: str) -> Row:
    content = a_model_file(word)
    return {
        "id": new_id(0x100 + number),
        "team_id": TEAM,
        "sha256": hashlib.sha256(content).hexdigest(),
        "blake3": "0" * 64 if state == "verified" else None,
        "size": len(content),
        "store_key": _store_key(number),
        "verification": state,
        "unused_since": None,
        "created_at": at(4),
        "verification_error": "The bytes are gone from the store." if state == "failed" else None,
        "leased_until": None,
        "checked_at": None if state == "pending" else at(4),
    }


def _upload(number: int, word: str) -> Row:
    return {
        "id": new_id(0x200 + number),
        "team_id": TEAM,
        "storage_key": _store_key(number),
        "file_name": word,
        "file_size": len(a_model_file(word)),
        "file_hash": None,
        "creator_kind": "user",
        "creator_id": OWNER_ID,
        "multipart_id": None,
        "part_size": None,
        "blob_id": new_id(0x100 + number),
        "model_id": new_id(0x300 + number),
        "registered_at": at(4),
        "created_at": at(4),
        "touched_at": at(4),
    }


def _open_upload() -> Row:
    """Asked for an hour ago, and nothing has come yet."""
    nothing = {"blob_id": None, "model_id": None, "registered_at": None, "file_hash": None}
    return {**_upload(0x50, "open"), **nothing, "created_at": at(0.04), "touched_at": at(0.04)}


def _model(number: int, word: str, state: str, lives: bool, status: str) -> Row:
    blob = _blob(number, word, state)
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
        "created_at": at(4 - number / 100),
        "updated_at": at(3),
        "deleted_at": None if lives else at(2),
    }


def _write_object(data_dir: Path, key: str, content: bytes) -> None:
    folder = data_dir / "objects" / key
    folder.mkdir(parents=True)
    (folder / "bytes").write_bytes(content)
    about = {"key": key, "upload": "", "size": len(content), "part_size": len(content), "started": 1.0}
    (folder / "about.json").write_text(json.dumps(about))
