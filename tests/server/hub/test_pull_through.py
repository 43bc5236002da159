"""Files that clients ask the endpoint for are imported from Hugging Face, if the team allows it."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from modelyard.server.database.clock import get_database_time
from modelyard.server.hub.earlier_imports import FAILURE_KEPT
from modelyard.server.imports.tables import ImportRow
from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file
from tests.server.hub.test_endpoint import ask
from tests.server.imports.calls import list_actions
from tests.server.imports.fake_sources import COMMIT, REPOSITORY, FakeSources
from tests.server.imports.stopped import Stopped
from tests.server.inspection.builders import build_checkpoint
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

INK, PAINT = "ink.safetensors", "vae/paint.safetensors"


@pytest.fixture
def writer(module_registry: Harness, team: ApiCaller, fakes: FakeSources) -> ApiCaller:
    """A key with write access, of a team that lets the endpoint import; the repository has two model files."""
    fakes.huggingface.files[PAINT] = make_model_file("paint")
    assert team.put("/teams/current", hub_may_import=True).status_code == 200
    return module_registry.create_key("integration", team, access="write")


def get_file(caller: ApiCaller, name: str, revision: str = "main", repository: str = REPOSITORY) -> httpx2.Response:
    """Ask for a file until it is neither being imported nor verified."""

    def ask_once() -> httpx2.Response | None:
        response = ask(caller, f"{repository}/resolve/{revision}/{name}")
        return None if response.status_code == 503 else response

    return wait_until(ask_once)


def list_imports(caller: ApiCaller) -> list[dict[str, Any]]:
    return list(caller.get("/imports").json()["import_list"])


def test_setting_is_off_by_default_and_nothing_is_asked_of_the_source(team: ApiCaller, fakes: FakeSources) -> None:
    fakes.huggingface.refusals = [(500, {})]
    assert team.get("/teams/current").json()["hub_may_import"] is False
    refused = ask(team, f"{REPOSITORY}/resolve/main/{INK}")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RepoNotFound")
    assert len(fakes.huggingface.refusals) == 1
    assert list_imports(team) == []


def test_file_that_the_team_does_not_have_is_imported_and_then_served(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    fakes.storage.pause()
    first = ask(writer, f"{REPOSITORY}/resolve/main/{INK}", "HEAD")
    assert (first.status_code, first.headers["Retry-After"]) == (503, "2")
    assert "is importing this file" in first.headers["X-Error-Message"]
    assert ask(writer, f"{REPOSITORY}/resolve/{COMMIT}/{INK}").status_code == 503
    fakes.storage.resume()

    served = get_file(writer, INK)
    assert (served.status_code, served.headers["X-Repo-Commit"]) == (307, COMMIT)
    content = team.client.get(served.headers["Location"]).content
    assert content == fakes.huggingface.files[INK]
    [done] = list_imports(team)
    assert (done["import_state"], done["model_path"]) == ("done", "loras/studio/ink/ink.safetensors")
    assert done["created_by"]["kind"] == "integration"
    model = team.get(f"/models/{done['model_id']}").json()
    assert (model["required_labels"], model["license"]) == (["hugging-face"], "cc-by-4.0")
    assert {"import.requested", "import.started"} <= set(list_actions(team))


def test_lists_are_those_of_the_source_before_and_after_a_file_is_imported(
    writer: ApiCaller, fakes: FakeSources
) -> None:
    def read_lists() -> tuple[Any, ...]:
        info = ask(writer, f"api/models/{REPOSITORY}", params={"blobs": "true"}).json()
        sizes = {each["rfilename"]: (each["size"], each["lfs"]["sha256"]) for each in info["siblings"]}
        tree = ask(writer, f"api/models/{REPOSITORY}/tree/{info['sha']}", params={"recursive": "true"}).json()
        paths = ask(writer, f"api/models/{REPOSITORY}/paths-info/main", "POST", data={"paths": [PAINT]}).json()
        return info["sha"], sizes, [each["path"] for each in tree], [each["path"] for each in paths]

    files = {name: fakes.huggingface.files[name] for name in (INK, PAINT)}
    sizes = {name: (len(content), hash_of(content).removeprefix("sha256:")) for name, content in files.items()}
    expected = (COMMIT, sizes, ["vae", INK, PAINT], [PAINT])
    assert read_lists() == expected
    assert list_imports(writer) == []
    assert get_file(writer, PAINT, COMMIT).status_code == 307
    assert read_lists() == expected


def test_lists_are_those_of_the_registry_if_the_source_fails(writer: ApiCaller, fakes: FakeSources) -> None:
    assert get_file(writer, INK).status_code == 307
    fakes.huggingface.refusals = [(503, {})]
    info = ask(writer, f"api/models/{REPOSITORY}").json()
    assert [each["rfilename"] for each in info["siblings"]] == [INK]
    fakes.huggingface.refusals = [(503, {"Retry-After": "7"})]
    refused = ask(writer, "api/models/studio/other")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "7")


def test_caller_who_may_not_import_gets_404_that_says_so(
    module_registry: Harness, team: ApiCaller, writer: ApiCaller
) -> None:
    reader = module_registry.create_key("integration", team, access="read")
    for path in (f"{REPOSITORY}/resolve/main/{INK}", f"api/models/{REPOSITORY}"):
        refused = ask(reader, path)
        assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "RepoNotFound")
        assert "keys with write access" in refused.headers["X-Error-Message"]
    assert list_imports(team) == []
    assert get_file(writer, INK).status_code == 307
    assert ask(reader, f"{REPOSITORY}/resolve/main/{INK}").status_code == 307


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("studio/none/resolve/main/ink.safetensors", "RepoNotFound"),
        ("api/models/studio/none", "RepoNotFound"),
        ("team/loras__ink.safetensors/resolve/main/ink.safetensors", "RepoNotFound"),
        (f"{REPOSITORY}/resolve/main/none.safetensors", "RepoNotFound"),
        (f"{REPOSITORY}/resolve/main/README.md", "RepoNotFound"),
        ("a%00b/ink/resolve/main/ink.safetensors", "RepoNotFound"),
        (f"../../etc/resolve/main/{INK}", None),
    ],
)
def test_what_the_source_does_not_have_is_not_found(writer: ApiCaller, path: str, code: str | None) -> None:
    refused = ask(writer, path)
    assert (refused.status_code, refused.headers.get("X-Error-Code")) == (404, code)
    assert list_imports(writer) == []


def test_file_beside_an_imported_one_that_the_source_does_not_have_is_no_entry(writer: ApiCaller) -> None:
    assert get_file(writer, INK).status_code == 307
    refused = ask(writer, f"{REPOSITORY}/resolve/{COMMIT}/none.safetensors")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "EntryNotFound")


def test_gated_repository_is_refused_until_the_team_has_a_token(writer: ApiCaller, fakes: FakeSources) -> None:
    fakes.huggingface.is_gated = True
    refused = ask(writer, f"{REPOSITORY}/resolve/main/{INK}")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (422, "GatedRepo")
    assert list_imports(writer) == []


def test_pickle_is_refused_before_its_import_while_the_team_blocks_pickles(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    fakes.huggingface.files["ink.ckpt"] = build_checkpoint()
    refused = ask(writer, f"{REPOSITORY}/resolve/main/ink.ckpt")
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/not-a-model-file")
    assert list_imports(writer) == []
    team.put("/teams/current", pickle_policy="scan")
    assert get_file(writer, "ink.ckpt").status_code == 307


def test_file_that_verification_refuses_is_refused_and_not_imported_again(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    team.put("/teams/current", pickle_policy="scan")
    fakes.huggingface.files["ink.ckpt"] = b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."
    for _ in range(2):
        refused = get_file(writer, "ink.ckpt")
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/not-a-model-file")
    assert len(list_imports(writer)) == 1


def test_import_over_the_quota_is_refused(team: ApiCaller, writer: ApiCaller) -> None:
    team.put("/teams/current", quota_bytes=10)
    refused = ask(writer, f"{REPOSITORY}/resolve/main/{INK}")
    assert refused.json()["type"] == "/problems/quota-exceeded"
    assert list_imports(writer) == []


def test_failed_import_is_reported_and_repeated_after_ten_minutes(stopped: Stopped, fakes: FakeSources) -> None:
    owner = stopped.owner
    owner.put("/teams/current", hub_may_import=True)
    fakes.huggingface.declared_sha256 = "0" * 64
    assert ask(owner, f"{REPOSITORY}/resolve/main/{INK}").status_code == 503
    stopped.create_importer().import_next()
    for _ in range(2):
        refused = ask(owner, f"{REPOSITORY}/resolve/main/{INK}")
        assert (refused.status_code, refused.json()["type"]) == (422, "/problems/source-changed")
    with stopped.resources.database.writing() as session:
        session.execute(update(ImportRow).values(finished_at=get_database_time(session) - FAILURE_KEPT))
    assert ask(owner, f"{REPOSITORY}/resolve/main/{INK}").status_code == 503
    assert len(list_imports(owner)) == 2


def test_import_that_fails_with_its_key_is_repeated_for_the_next_caller(stopped: Stopped) -> None:
    owner = stopped.owner
    owner.put("/teams/current", hub_may_import=True)
    key = stopped.registry.create_key("integration", owner, access="write")
    assert ask(key, f"{REPOSITORY}/resolve/main/{INK}").status_code == 503
    [credential] = owner.get("/credentials").json()["credentials"]
    assert owner.delete(f"/credentials/{credential['id']}").status_code == 204
    stopped.create_importer().import_next()
    assert [each["error_code"] for each in list_imports(owner)] == ["unauthenticated"]
    assert ask(owner, f"{REPOSITORY}/resolve/main/{INK}").status_code == 503
    assert len(list_imports(owner)) == 2


def test_cancelled_import_is_not_started_again_at_once(stopped: Stopped) -> None:
    owner = stopped.owner
    owner.put("/teams/current", hub_may_import=True)
    assert ask(owner, f"{REPOSITORY}/resolve/main/{INK}").status_code == 503
    [waiting] = list_imports(owner)
    assert owner.post(f"/imports/{waiting['id']}/cancel").status_code == 200
    refused = ask(owner, f"{REPOSITORY}/resolve/main/{INK}")
    assert (refused.status_code, "was cancelled" in refused.json()["detail"]) == (422, True)


def test_new_commit_with_other_content_becomes_another_model(writer: ApiCaller, fakes: FakeSources) -> None:
    assert get_file(writer, INK).status_code == 307
    fakes.huggingface.commit, fakes.huggingface.files[INK] = "2" * 40, make_model_file("newer")
    assert ask(writer, f"api/models/{REPOSITORY}").json()["sha"] == "2" * 40
    assert get_file(writer, INK, "2" * 40).headers["X-Repo-Commit"] == "2" * 40
    paths = sorted(each["model_path"] for each in list_imports(writer))
    assert paths == [f"loras/studio/ink/{'2' * 40}/ink.safetensors", "loras/studio/ink/ink.safetensors"]


def test_disabled_model_is_not_imported_again(team: ApiCaller, writer: ApiCaller) -> None:
    assert get_file(writer, INK).status_code == 307
    [done] = list_imports(writer)
    team.put(f"/models/{done['model_id']}", model_status="disabled")
    refused = ask(writer, f"{REPOSITORY}/resolve/main/{INK}")
    assert (refused.status_code, refused.headers["X-Error-Code"]) == (404, "EntryNotFound")
    assert len(list_imports(writer)) == 1


def test_only_admins_change_the_setting(module_registry: Harness, team: ApiCaller) -> None:
    member = module_registry.create_member("member", team)
    assert member.put("/teams/current", hub_may_import=True).status_code == 403


def test_file_is_served_only_when_it_is_verified(stopped: Stopped, fakes: FakeSources) -> None:
    """Pickles are verified by a job, and this registry runs none."""
    owner = stopped.owner
    owner.put("/teams/current", hub_may_import=True, pickle_policy="scan")
    fakes.huggingface.files["ink.ckpt"] = build_checkpoint()
    assert ask(owner, f"{REPOSITORY}/resolve/main/ink.ckpt").status_code == 503
    stopped.create_importer().import_next()
    [done] = list_imports(owner)
    assert done["import_state"] == "done"
    waiting = ask(owner, f"{REPOSITORY}/resolve/main/ink.ckpt")
    assert (waiting.status_code, "verifying" in waiting.json()["detail"]) == (503, True)


def test_file_that_another_caller_imports_is_being_imported_for_both(
    team: ApiCaller, writer: ApiCaller, fakes: FakeSources
) -> None:
    fakes.storage.pause()
    answers = [ask(caller, f"{REPOSITORY}/resolve/main/{INK}") for caller in (writer, team)]
    fakes.storage.resume()
    assert [answer.status_code for answer in answers] == [503, 503]
    assert get_file(team, INK).status_code == 307
    assert len(list_imports(team)) == 1
