"""Tokens of sources: write-only, for an exact host, and used by lookups and imports of their team."""

from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from modelyard.server.encryption import SecretCipher
from modelyard.server.imports.tokens.tables import SourceTokenRow
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.imports.calls import start, wait
from tests.server.imports.conftest import PART
from tests.server.imports.fake_sources import FAR_FUTURE, FakeSources

pytestmark = pytest.mark.slow


def get_host(address: str) -> str:
    return urlsplit(address).netloc


@pytest.fixture
def link(fakes: FakeSources) -> str:
    """The link of a gated file, for which the source takes one token."""
    fakes.huggingface.is_gated, fakes.huggingface.token = True, "hf_right"
    return f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors"


def test_set_source_token_is_listed_without_its_value_and_deleted(team: ApiCaller) -> None:
    for host in ("HuggingFace.co.", "[::1]:8443", "mirror.example:443"):
        assert team.put(f"/source-tokens/{host}", token="hf_right").status_code == 200
    listed = team.get("/source-tokens")
    assert [each["host"] for each in listed.json()["source_token_list"]] == [
        *("[::1]:8443", "huggingface.co", "mirror.example"),
    ]
    assert {each["set_by"]["id"] for each in listed.json()["source_token_list"]} == {team.user_id}
    assert listed.json()["is_enabled"] is True
    assert team.delete("/source-tokens/huggingface.co").status_code == 204
    again = team.delete("/source-tokens/huggingface.co")
    assert (again.status_code, again.json()["error_code"]) == (404, "source_token_not_found")
    events = team.get("/audit-events").text
    assert "source_token.set" in events
    assert "source_token.deleted" in events
    assert "hf_right" not in listed.text + events


@pytest.mark.parametrize(
    "host",
    [
        *("a%20b", "https:", "host:0", "host:99999", "*", "user@host", "a..b", ".a", "[1:2]", "[1.2.3.4]"),
        *("%2e%2e%2e", "[.]", "[:]", "...:80", "%2e%2e%2e:80"),
        *("a" * 64, ".".join(["a" * 62] * 4) + ".abc"),
    ],
)
def test_set_source_token_wrong_host_returns_422_naming_it(team: ApiCaller, host: str) -> None:
    refused = team.put(f"/source-tokens/{host}", token="hf_right")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "host")


@pytest.mark.parametrize("token", ["", "two words", "line\nend", "ä", "x" * 2001])
def test_set_source_token_wrong_token_returns_422_without_showing_it(team: ApiCaller, token: str) -> None:
    refused = team.put("/source-tokens/huggingface.co", token=token)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "token")
    assert token == "" or token not in refused.text


def test_set_source_token_beyond_limit_returns_409_and_replaces_at_it(team: ApiCaller) -> None:
    for number in range(100):
        assert team.put(f"/source-tokens/{number}.example", token="hf_right").status_code == 200
    refused = team.put("/source-tokens/other.example", token="hf_right")
    assert (refused.status_code, refused.json()["error_code"]) == (409, "source_token_limit_reached")
    assert team.put("/source-tokens/5.example", token="hf_other").status_code == 200


def test_stored_token_is_encrypted_for_its_own_row(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    host = get_host(fakes.huggingface_url)
    team.put("/source-tokens/other.example", token="hf_right")
    team.put(f"/source-tokens/{host}", token="hf_wrong")
    with module_registry.resources.database.writing() as session:
        rows = {row.host: row for row in session.query(SourceTokenRow).filter_by(team_id=UUID(team.team_id))}
        assert "hf_" not in "".join(row.encrypted_token for row in rows.values())
        rows[host].encrypted_token = rows["other.example"].encrypted_token
    states = {each["host"]: each["token_state"] for each in team.get("/source-tokens").json()["source_token_list"]}
    assert states == {host: "unreadable", "other.example": "used"}
    assert team.post("/imports/resolve", url=link).json()["error_code"] == "source_restricted"


def test_resolve_gated_file_names_the_command_and_works_with_a_token(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    host = get_host(fakes.huggingface_url)
    refused = team.post("/imports/resolve", url=link).json()
    assert f"modelyard source-token set {host}" in refused["detail"]
    assert refused["host"] == host
    team.put(f"/source-tokens/{host}", token="hf_wrong")
    expired = team.post("/imports/resolve", url=link).json()
    assert "token" in expired["detail"]
    assert "another one" in expired["detail"]
    assert "hf_wrong" not in str(expired)
    team.put(f"/source-tokens/{host}", token="hf_right")
    assert team.post("/imports/resolve", url=link).status_code == 200


def test_import_gated_file_with_token_sends_it_to_its_host_only(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    for address in (fakes.huggingface_url, fakes.civitai_url, fakes.storage.server.address):
        team.put(f"/source-tokens/{get_host(address)}", token="hf_right")
    # The storage refuses requests with a token.
    assert wait(team, start(team, link))["error"] is None
    assert len(fakes.storage.ranges) == 1


def test_stored_host_that_is_none_stops_no_import_and_is_deleted(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    """Such rows were stored by an earlier version."""
    host = get_host(fakes.huggingface_url)
    team.put("/source-tokens/other.example", token="hf_right")
    cipher = module_registry.resources.cipher
    assert cipher is not None
    with module_registry.resources.database.writing() as session:
        row = session.query(SourceTokenRow).filter_by(team_id=UUID(team.team_id)).one()
        row.host = "other..example"
        row.encrypted_token = cipher.encrypt("t", f"source-token:{row.team_id}:{row.host}")
    assert team.post("/imports/resolve", url=link).json()["error_code"] == "source_restricted"
    team.put(f"/source-tokens/{host}", token="hf_right")
    assert team.post("/imports/resolve", url=link).status_code == 200
    states = {each["host"]: each["token_state"] for each in team.get("/source-tokens").json()["source_token_list"]}
    assert states == {host: "used", "other..example": "unreadable"}
    assert team.delete("/source-tokens/other..example").status_code == 204


def test_resolve_token_of_other_team_is_not_sent(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    other: ApiCaller = module_registry.create_other_team()
    other.put(f"/source-tokens/{get_host(fakes.huggingface_url)}", token="hf_right")
    assert team.post("/imports/resolve", url=link).json()["error_code"] == "source_restricted"
    assert other.post("/imports/resolve", url=link).status_code == 200


def test_resolve_civitai_early_access_with_token_returns_draft(team: ApiCaller, fakes: FakeSources) -> None:
    civitai, page = fakes.civitai, f"{fakes.civitai_url}/models/111"
    civitai.version |= {"availability": "EarlyAccess", "earlyAccessEndsAt": FAR_FUTURE}
    civitai.download_refusal, civitai.token = (403, {"error": "Early Access", "deadline": FAR_FUTURE}), "right"
    refused = team.post("/imports/resolve", url=page).json()
    assert f"modelyard source-token set {get_host(fakes.civitai_url)}" in refused["detail"]
    team.put(f"/source-tokens/{get_host(fakes.civitai_url)}", token="right")
    assert team.post("/imports/resolve", url=page).json()["size"] == len(civitai.content)


def test_import_token_expires_half_way_fails_in_words_and_retry_succeeds_with_a_new_one(
    team: ApiCaller, fakes: FakeSources, link: str
) -> None:
    host = get_host(fakes.huggingface_url)
    fakes.huggingface.files["ink.safetensors"] = make_model_file("large", 2 * PART + 1000)
    team.put(f"/source-tokens/{host}", token="hf_right")

    def expire() -> None:
        fakes.huggingface.token = "hf_new"

    fakes.storage.cut_after, fakes.storage.on_cut = [PART + 500], expire
    import_id = start(team, link)
    failed = wait(team, import_id, "failed")
    assert failed["error_code"] == "source_restricted"
    assert f"modelyard source-token set {host}" in failed["error"]
    team.put(f"/source-tokens/{host}", token="hf_new")
    assert team.post(f"/imports/{import_id}/retry").status_code == 200
    assert wait(team, import_id)["error"] is None


@pytest.mark.parametrize("cipher", [None, SecretCipher((b"o" * 32,))], ids=["no key", "other key"])
def test_source_tokens_without_their_key_are_unreadable_and_not_sent(
    registry: Harness, fakes: FakeSources, link: str, cipher: SecretCipher | None, caplog: pytest.LogCaptureFixture
) -> None:
    owner, host = registry.owner, get_host(fakes.huggingface_url)
    owner.put(f"/source-tokens/{host}", token="hf_right")
    registry.app.state.resources = replace(registry.resources, cipher=cipher)
    listed = owner.get("/source-tokens").json()
    assert [each["token_state"] for each in listed["source_token_list"]] == ["off" if cipher is None else "unreadable"]
    assert listed["is_enabled"] is (cipher is not None)
    for _ in range(2):
        refused = owner.post("/imports/resolve", url=link).json()
        assert refused["error_code"] == "source_restricted"
        assert ("source-token set" in refused["detail"]) is (cipher is not None)
        assert ("MODELYARD_SECRETS_KEY" in refused["detail"]) is (cipher is None)
    assert caplog.text.count("this process has no MODELYARD_SECRETS_KEY") == (cipher is None)
    again = owner.put(f"/source-tokens/{host}", token="hf_right")
    if cipher is None:
        assert (again.status_code, again.json()["error_code"]) == (409, "secrets_key_missing")
        assert "MODELYARD_SECRETS_KEY" in again.json()["detail"]
    else:
        assert owner.post("/imports/resolve", url=link).status_code == 200
