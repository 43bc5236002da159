"""``POST /models/{model_id}/check-source``, and imports of the newer version as the next one."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from modelyard.server.identity.state import Identity
from modelyard.server.models.tables import ModelRow
from modelyard.server.resources import open_resources
from modelyard.server.revisions import get_totals
from modelyard.server.settings import Settings
from modelyard.server.storage.local.store import LocalStore
from tests.server.conftest import CHEAP
from tests.server.environments import PATIENT
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.imports.calls import confirm, wait
from tests.server.imports.fake_sources import COMMIT, FakeSources
from tests.server.verification.unverified_team import OTHER, UnverifiedTeam

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(
        reason="each answer of each source; test_source_check_runs.py and cli/test_outdated.py check sources"
    ),
]

OLD_COMMIT = "0" * 40


def register_from(team: ApiCaller, source_url: str | None, content: bytes) -> str:
    return team.register(content, "loras/ink.safetensors", source_url=source_url)


def check(team: ApiCaller, model_id: str) -> dict[str, Any]:
    answer = team.post(f"/models/{model_id}/check-source")
    assert answer.status_code == 200, answer.text
    record = team.get(f"/models/{model_id}").json()
    assert record["newer_at_source"] == answer.json()["newer_at_source"]
    return dict(answer.json())


@pytest.fixture
def unverified(settings: Settings) -> Iterator[UnverifiedTeam]:
    """A team of a registry that imports from the fakes, whose uploads are verified only when the test says so."""
    with open_resources(settings, Identity(CHEAP), PATIENT) as resources:
        if isinstance(resources.store, LocalStore):
            resources.store.close()  # no thread hashes uploads any more
        with Harness.without_jobs(resources) as registry:
            yield UnverifiedTeam(registry)


def get_revision(registry: Harness, team: ApiCaller) -> int:
    with registry.resources.database.reading() as session:
        return get_totals(session, UUID(team.team_id)).revision


def test_check_source_huggingface_other_content_is_newer_and_is_imported_as_next_version(
    team: ApiCaller, fakes: FakeSources
) -> None:
    page = f"{fakes.huggingface_url}/studio/ink/blob/{OLD_COMMIT}/ink.safetensors"
    model_id = register_from(team, page, make_model_file("old"))
    newer = check(team, model_id)["newer_at_source"]
    assert newer["revision"] == COMMIT
    assert newer["url"] == f"{fakes.huggingface_url}/studio/ink/resolve/{COMMIT}/ink.safetensors"
    draft = team.post("/imports/resolve", url=newer["url"]).json()
    started = team.post("/imports", **confirm(draft, replaces=model_id))
    done = wait(team, started.json()["id"])
    assert done["model_id"] == model_id
    team.wait_until_verified(model_id)
    record = team.get(f"/models/{model_id}").json()
    assert (record["version"], record["newer_at_source"]) == (2, None)
    assert record["file_hash"] == hash_of(fakes.huggingface.files["ink.safetensors"])
    assert check(team, model_id)["newer_at_source"] is None


def test_check_source_huggingface_same_content_at_other_commit_is_not_newer(
    team: ApiCaller, fakes: FakeSources
) -> None:
    page = f"{fakes.huggingface_url}/studio/ink/blob/{OLD_COMMIT}/ink.safetensors"
    model_id = register_from(team, page, fakes.huggingface.files["ink.safetensors"])
    assert check(team, model_id)["newer_at_source"] is None


def test_check_source_civitai_newest_version_is_compared(team: ApiCaller, fakes: FakeSources) -> None:
    model_id = register_from(team, f"{fakes.civitai_url}/models/111?modelVersionId=222", make_model_file("old"))
    assert check(team, model_id)["newer_at_source"] is None
    fakes.civitai.versions.insert(0, {"id": 223, "name": "v3.0"})
    newer = check(team, model_id)["newer_at_source"]
    assert (newer["revision"], newer["name"]) == ("223", "Ink v3.0")
    assert newer["url"] == f"{fakes.civitai_url}/models/111?modelVersionId=223"
    # A new version with the same content.
    sha256 = hash_of(make_model_file("old")).removeprefix("sha256:").upper()
    fakes.civitai.versions[0]["files"] = [{"hashes": {"SHA256": sha256}}]
    assert check(team, model_id)["newer_at_source"] is None


def test_check_source_changed_source_ends_what_was_found(team: ApiCaller, fakes: FakeSources) -> None:
    model_id = register_from(team, f"{fakes.civitai_url}/models/111?modelVersionId=221", make_model_file("old"))
    assert check(team, model_id)["newer_at_source"] is not None
    team.put(f"/models/{model_id}", source_url=f"{fakes.civitai_url}/models/112")
    assert team.get(f"/models/{model_id}").json()["newer_at_source"] is None


def test_check_source_repeated_with_same_result_changes_neither_etag_nor_revision(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources
) -> None:
    model_id = register_from(team, f"{fakes.civitai_url}/models/111?modelVersionId=221", make_model_file("old"))
    before = get_revision(module_registry, team)
    first = check(team, model_id)["newer_at_source"]
    etag = team.get(f"/models/{model_id}").headers["ETag"]
    second = check(team, model_id)["newer_at_source"]
    assert second["checked_at"] > first["checked_at"]
    assert team.get(f"/models/{model_id}").headers["ETag"] == etag
    # Machines do not need what the source has.
    assert get_revision(module_registry, team) == before


@pytest.mark.parametrize(
    ("first", "second", "revision"),
    [
        (
            "{huggingface}/studio/ink/blob/dev/ink.safetensors",
            f"{{huggingface}}/studio/ink/blob/{COMMIT}/ink.safetensors",
            COMMIT,
        ),
        ("{civitai}/models/111?modelVersionId=221", "{civitai}/models/111?modelVersionId=222", "222"),
    ],
    ids=["huggingface", "civitai"],
)
def test_check_source_after_next_version_failed_still_finds_it(
    unverified: UnverifiedTeam, fakes: FakeSources, first: str, second: str, revision: str
) -> None:
    wanted = hash_of(fakes.huggingface.files["ink.safetensors"])
    sha256 = wanted.removeprefix("sha256:").upper()
    fakes.civitai.versions[0]["files"] = [{"hashes": None}, {"hashes": {"SHA256": sha256}}]
    pages = [each.format(huggingface=fakes.huggingface_url, civitai=fakes.civitai_url) for each in (first, second)]
    model_id = unverified.register(make_model_file("old"), source_url=pages[0])
    unverified.verify_all()
    found = unverified.owner.post(f"/models/{model_id}/check-source").json()["newer_at_source"]
    assert found["revision"] == revision
    unverified.register(OTHER, file_hash=wanted, replaces=model_id, source_url=pages[1])
    unverified.verify_all()
    record = unverified.model(model_id)
    assert (record["version"], record["pending_version"]["verification"]) == (1, "failed")
    assert (record["source_url"], record["newer_at_source"]) == (pages[1], found)
    again = unverified.owner.post(f"/models/{model_id}/check-source").json()["newer_at_source"]
    assert again["revision"] == revision


def test_activate_other_version_ends_what_was_found(team: ApiCaller, fakes: FakeSources) -> None:
    model_id = register_from(team, f"{fakes.civitai_url}/models/111?modelVersionId=221", make_model_file("old"))
    team.register(make_model_file("new"), "loras/ink.safetensors", replaces=model_id)
    assert check(team, model_id)["newer_at_source"] is not None
    assert team.post(f"/models/{model_id}/versions/1/activate").status_code == 200
    assert team.get(f"/models/{model_id}").json()["newer_at_source"] is None


def test_check_source_converted_model_is_compared_by_hash_of_its_original(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources
) -> None:
    model_id = register_from(team, f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors", make_model_file())
    source = {"model_id": str(uuid4()), "version": 1, "file_hash": hash_of(fakes.huggingface.files["ink.safetensors"])}
    with module_registry.resources.database.writing() as session:
        session.get_one(ModelRow, UUID(model_id)).derived_from = source
    assert check(team, model_id)["newer_at_source"] is None
    fakes.huggingface.files["ink.safetensors"] = make_model_file("newer")
    assert check(team, model_id)["newer_at_source"]["revision"] == COMMIT


@pytest.mark.parametrize("versions", [5, "222", {"id": 222}, [5, {"id": "222"}], []])
def test_check_source_civitai_document_without_versions_returns_422(
    team: ApiCaller, fakes: FakeSources, versions: Any
) -> None:
    model_id = register_from(team, f"{fakes.civitai_url}/models/111", make_model_file("old"))
    fakes.civitai.versions = versions
    refused = team.post(f"/models/{model_id}/check-source")
    assert (refused.status_code, refused.json()["error_code"]) == (422, "source_not_found")


@pytest.mark.parametrize("source", [None, "https://models.example/ink.safetensors", "{huggingface}/studio/ink"])
def test_check_source_without_versions_returns_422(team: ApiCaller, fakes: FakeSources, source: str | None) -> None:
    url = source and source.format(huggingface=fakes.huggingface_url)
    refused = team.post(f"/models/{register_from(team, url, make_model_file())}/check-source")
    assert (refused.status_code, refused.json()["error_code"]) == (422, "link_refused")


def test_check_source_that_fails_keeps_what_was_found(team: ApiCaller, fakes: FakeSources) -> None:
    page = f"{fakes.huggingface_url}/studio/ink/blob/{OLD_COMMIT}/ink.safetensors"
    model_id = register_from(team, page, make_model_file("old"))
    found = check(team, model_id)["newer_at_source"]
    fakes.huggingface.refusals = [(503, {})]
    assert team.post(f"/models/{model_id}/check-source").status_code == 503
    assert team.get(f"/models/{model_id}").json()["newer_at_source"] == found
    assert team.post(f"/models/{uuid4()}/check-source").status_code == 404
