"""Repositories that were imported from Hugging Face keep their id and their revision."""

import hashlib
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from modelyard.server.database.engine import is_sqlite
from modelyard.server.models.repositories.tables import ImportedFileRow
from tests.server.harness import ApiCaller, Harness, make_model_file
from tests.server.hub.test_endpoint import ask
from tests.server.imports.calls import start, wait
from tests.server.imports.fake_sources import COMMIT, REPOSITORY, FakeSources
from tests.server.query_plans import record_queries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extended(reason="every order of imports; test_pull_through.py serves repositories that were imported"),
]

NEXT_COMMIT = "2" * 40


def import_file(team: ApiCaller, fakes: FakeSources, name: str, **changed: Any) -> str:
    """Import a file of the repository, and return the id of the verified model."""
    link = f"{fakes.huggingface_url}/{REPOSITORY}/blob/main/{name}"
    done = wait(team, start(team, link, **changed))
    team.wait_until_verified(done["model_id"])
    return str(done["model_id"])


def test_import_keeps_repository_and_revision(module_registry: Harness, team: ApiCaller, fakes: FakeSources) -> None:
    content = fakes.huggingface.files["vae/paint.safetensors"] = make_model_file("paint")
    import_file(team, fakes, "ink.safetensors")
    import_file(team, fakes, "vae/paint.safetensors")
    reader = module_registry.create_key("integration", team, access="read")

    info = ask(reader, f"api/models/{REPOSITORY.title()}").json()
    assert (info["id"], info["sha"]) == (REPOSITORY, COMMIT)
    assert [each["rfilename"] for each in info["siblings"]] == ["ink.safetensors", "vae/paint.safetensors"]

    flat = ask(reader, f"api/models/{REPOSITORY}/tree/{COMMIT}", params={"recursive": "false"}).json()
    assert [(each["type"], each["path"]) for each in flat] == [("directory", "vae"), ("file", "ink.safetensors")]
    below = ask(reader, f"api/models/{REPOSITORY}/tree/main/vae").json()
    assert [each["path"] for each in below] == ["vae/paint.safetensors"]
    head = ask(reader, f"{REPOSITORY}/resolve/main/vae/paint.safetensors", "HEAD")
    assert head.headers["X-Repo-Commit"] == COMMIT
    assert head.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'


def test_import_of_replaced_content_is_served_with_the_imported_version(team: ApiCaller, fakes: FakeSources) -> None:
    content = fakes.huggingface.files["ink.safetensors"]
    model_id = import_file(team, fakes, "ink.safetensors")
    path = team.get(f"/models/{model_id}").json()["model_path"]
    team.register(make_model_file("newer"), path, replaces=model_id)
    redirect = ask(team, f"{REPOSITORY}/resolve/main/ink.safetensors")
    assert team.client.get(redirect.headers["Location"]).content == content


def test_import_of_content_that_the_team_has_keeps_the_repository(team: ApiCaller, fakes: FakeSources) -> None:
    team.register(fakes.huggingface.files["ink.safetensors"], "loras/own.safetensors")
    import_file(team, fakes, "ink.safetensors")
    assert ask(team, f"api/models/{REPOSITORY}").json()["sha"] == COMMIT


def test_import_of_content_that_the_path_has_keeps_the_repository(team: ApiCaller, fakes: FakeSources) -> None:
    team.register(fakes.huggingface.files["ink.safetensors"], "loras/ink.safetensors")
    import_file(team, fakes, "ink.safetensors", file_hash=None)
    assert ask(team, f"api/models/{REPOSITORY}").json()["sha"] == COMMIT


def test_import_of_link_to_branch_keeps_the_commit_that_it_was(team: ApiCaller, fakes: FakeSources) -> None:
    link = f"{fakes.huggingface_url}/{REPOSITORY}/resolve/main/ink.safetensors"
    import_file(team, fakes, "ink.safetensors", url=link)
    assert ask(team, f"api/models/{REPOSITORY}").json()["sha"] == COMMIT


def test_import_of_stored_content_by_link_to_branch_has_no_commit(
    team: ApiCaller, fakes: FakeSources, caplog: pytest.LogCaptureFixture
) -> None:
    team.register(fakes.huggingface.files["ink.safetensors"], "loras/own.safetensors")
    link = f"{fakes.huggingface_url}/{REPOSITORY}/resolve/main/ink.safetensors"
    with caplog.at_level("INFO", "modelyard.imports"):
        import_file(team, fakes, "ink.safetensors", url=link)
    assert ask(team, f"api/models/{REPOSITORY}").headers["X-Error-Code"] == "RepoNotFound"
    assert "an import has no known commit" in caplog.messages


def test_record_of_import_names_its_repository_until_the_content_is_replaced(
    team: ApiCaller, fakes: FakeSources
) -> None:
    model_id = import_file(team, fakes, "ink.safetensors")
    record = team.get(f"/models/{model_id}").json()
    assert record["hub_file"] == {"repository": REPOSITORY, "path": "ink.safetensors"}
    team.register(make_model_file("newer"), record["model_path"], replaces=model_id)
    team.wait_until_verified(model_id)
    changed = team.get(f"/models/{model_id}").json()["hub_file"]
    assert changed["repository"].startswith("team/")
    assert ask(team, f"{changed['repository']}/resolve/main/{changed['path']}", "HEAD").status_code == 200


def get_hub_file(team: ApiCaller, model_id: str) -> tuple[str, str]:
    """Return the place that the record names, after checking that `main` has the record's content there."""
    record = team.get(f"/models/{model_id}").json()
    repository, path = record["hub_file"]["repository"], record["hub_file"]["path"]
    head = ask(team, f"{repository}/resolve/main/{path}", "HEAD")
    assert head.headers["ETag"] == f'"{record["file_hash"].removeprefix("sha256:")}"'
    return repository, path


def test_record_names_its_own_repository_after_an_import_of_another_commit_to_another_model(
    team: ApiCaller, fakes: FakeSources
) -> None:
    first = import_file(team, fakes, "ink.safetensors")
    assert get_hub_file(team, first) == (REPOSITORY, "ink.safetensors")
    fakes.huggingface.commit = NEXT_COMMIT
    fakes.huggingface.files["ink.safetensors"] = make_model_file("next ink")
    second = import_file(team, fakes, "ink.safetensors", model_path="loras/next.safetensors")
    assert get_hub_file(team, second) == (REPOSITORY, "ink.safetensors")
    assert get_hub_file(team, first) == ("team/loras__ink.safetensors", "ink.safetensors")


def test_record_names_its_own_repository_after_a_roll_back(team: ApiCaller, fakes: FakeSources) -> None:
    model_id = import_file(team, fakes, "ink.safetensors")
    fakes.huggingface.commit = NEXT_COMMIT
    fakes.huggingface.files["ink.safetensors"] = make_model_file("next ink")
    import_file(team, fakes, "ink.safetensors", replaces=model_id)
    assert get_hub_file(team, model_id) == (REPOSITORY, "ink.safetensors")
    assert team.post(f"/models/{model_id}/versions/1/activate").is_success
    assert get_hub_file(team, model_id) == ("team/loras__ink.safetensors", "ink.safetensors")


def test_record_of_import_from_the_namespace_team_names_its_own_repository(
    module_registry: Harness, team: ApiCaller, fakes: FakeSources
) -> None:
    model_id = import_file(team, fakes, "ink.safetensors")
    with module_registry.resources.database.writing() as session:
        files = update(ImportedFileRow).where(ImportedFileRow.team_id == UUID(team.team_id))
        session.execute(files.values(repository="team/inks", repository_key="team/inks"))
    assert get_hub_file(team, model_id) == ("team/loras__ink.safetensors", "ink.safetensors")


def test_query_plan_of_file_at_commit_uses_the_index(registry: Harness, fakes: FakeSources) -> None:
    import_file(registry.owner, fakes, "ink.safetensors")
    database = registry.resources.database
    with record_queries(database.engine, of_all_threads=True) as statements:
        ask(registry.owner, f"{REPOSITORY}/resolve/{COMMIT}/ink.safetensors", "HEAD")
    statements.sent = [sent for sent in statements.sent if "imported_files" in sent[0]]
    assert statements.sent
    with database.engine.connect() as connection:
        if not is_sqlite(database.engine):
            # A table with few rows is read as a whole otherwise.
            connection.exec_driver_sql("SET enable_seqscan = off")
        plans = "\n".join(statements.plans(connection))
    assert "ix_imported_files_revision" in plans


def test_deleted_import_leaves_its_repository(team: ApiCaller, fakes: FakeSources) -> None:
    model_id = import_file(team, fakes, "ink.safetensors")
    team.delete(f"/models/{model_id}")
    assert ask(team, f"api/models/{REPOSITORY}").headers["X-Error-Code"] == "RepoNotFound"


def test_import_at_another_commit_keeps_the_other_files_at_main(team: ApiCaller, fakes: FakeSources) -> None:
    files = fakes.huggingface.files
    files["vae/paint.safetensors"] = make_model_file("paint")
    import_file(team, fakes, "ink.safetensors")
    import_file(team, fakes, "vae/paint.safetensors")
    fakes.huggingface.commit, content = NEXT_COMMIT, make_model_file("next")
    files["vae/paint.safetensors"] = content
    import_file(team, fakes, "vae/paint.safetensors", model_path="vae/paint2.safetensors")

    info = ask(team, f"api/models/{REPOSITORY}").json()
    assert [each["rfilename"] for each in info["siblings"]] == ["ink.safetensors", "vae/paint.safetensors"]
    assert info["sha"] not in (COMMIT, NEXT_COMMIT)
    for revision, expected in (
        ("main", content),
        (info["sha"], content),
        (NEXT_COMMIT, content),
        (COMMIT, make_model_file("paint")),
    ):
        head = ask(team, f"{REPOSITORY}/resolve/{revision}/vae/paint.safetensors", "HEAD")
        assert head.headers["ETag"] == f'"{hashlib.sha256(expected).hexdigest()}"'
        assert head.headers["X-Repo-Commit"] == (info["sha"] if revision == "main" else revision)
    missing = ask(team, f"{REPOSITORY}/resolve/{NEXT_COMMIT}/ink.safetensors", "HEAD")
    assert (missing.headers["X-Error-Code"], missing.headers["X-Repo-Commit"]) == ("EntryNotFound", NEXT_COMMIT)


def test_import_of_all_files_at_another_commit_makes_it_main(team: ApiCaller, fakes: FakeSources) -> None:
    import_file(team, fakes, "ink.safetensors")
    fakes.huggingface.commit = NEXT_COMMIT
    import_file(team, fakes, "ink.safetensors")
    assert ask(team, f"api/models/{REPOSITORY}").json()["sha"] == NEXT_COMMIT
    assert ask(team, f"api/models/{REPOSITORY}/revision/{COMMIT}").json()["sha"] == COMMIT


def test_imported_repository_lacks_other_commits(team: ApiCaller, fakes: FakeSources) -> None:
    import_file(team, fakes, "ink.safetensors")
    for path in (f"api/models/{REPOSITORY}/revision/{'3' * 40}", f"{REPOSITORY}/resolve/v1/ink.safetensors"):
        assert ask(team, path).headers["X-Error-Code"] == "RevisionNotFound"
    for path in ("main/none", f"{COMMIT}/none", f"{COMMIT}/%00"):
        missing = ask(team, f"{REPOSITORY}/resolve/{path}")
        assert (missing.headers["X-Error-Code"], missing.headers["X-Repo-Commit"]) == ("EntryNotFound", COMMIT)
