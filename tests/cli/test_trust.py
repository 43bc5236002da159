"""``trust``: pickle files that admins have allowed."""

import hashlib
import json
from pathlib import Path

from tests.cli.conftest import Command
from tests.server.inspection import builders

UNSAFE = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "system"), builders.text("true")))


def test_trust_refused_model_allows_its_file_until_it_is_withdrawn(signed_in: Command, tmp_path: Path) -> None:
    assert signed_in("team", "settings", "--pickle-policy", "trusted").code == 0
    file = tmp_path / "face.pt"
    file.write_bytes(UNSAFE)
    assert signed_in("push", str(file), "--type", "ultralytics").code != 0
    allowed = signed_in("trust", "face", "--reason", "checked by hand", "--yes", "--json")
    assert allowed.code == 0, allowed.err
    document = json.loads(allowed.out)
    assert document["file_hash"] == f"sha256:{hashlib.sha256(UNSAFE).hexdigest()}"
    assert "imports os.system" in allowed.err
    assert "checked by hand" in signed_in("trust", "ls").out
    assert signed_in("trust", "rm", document["file_hash"]).code == 0
    assert "No trusted files." in signed_in("trust", "ls").out
    # The reason before the file, which is named by its hash, and the findings are shown again.
    again = signed_in("trust", "--reason", "checked again", document["file_hash"], "--yes")
    assert again.code == 0, again.err
    assert "imports os.system" in again.err


def test_trust_hash_without_refused_file_says_what_to_do(signed_in: Command) -> None:
    ran = signed_in("trust", "0" * 64, "--reason", "none", "--yes")
    assert ran.code != 0
    assert "Push it first" in ran.err


def test_trust_without_terminal_asks_for_yes(signed_in: Command) -> None:
    ran = signed_in("trust", "allow", "0" * 64, "--reason", "none")
    assert ran.code == 2
    assert "--yes" in ran.err
