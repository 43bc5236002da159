"""The Hugging Face endpoint: repositories of imports and of models, with the headers that clients need."""

import hashlib
from typing import Any

import httpx2
import pytest

from tests.server.harness import ApiCaller, Harness, hash_of, make_model_file

PATH = "loras/ink.safetensors"
NAME = "team/loras__ink.safetensors"
CONTENT = make_model_file("ink", 5000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def team(shared_registry: Harness) -> ApiCaller:
    """The owner of a new team in the registry of all tests, which imports nothing."""
    return shared_registry.create_team()


@pytest.fixture
def reader(shared_registry: Harness, team: ApiCaller) -> ApiCaller:
    """A key with read access, as a client of Hugging Face has it as its token."""
    return shared_registry.create_key("integration", team, access="read")


def ask(caller: ApiCaller, path: str, method: str = "GET", **arguments: Any) -> httpx2.Response:
    """Send a request below the endpoint; redirects are not followed."""
    arguments.setdefault("follow_redirects", False)
    headers = caller.headers | arguments.pop("headers", {})
    return caller.client.request(method, f"/hf/{path}", headers=headers, **arguments)


def get_revision(caller: ApiCaller, name: str = NAME) -> str:
    return str(ask(caller, f"api/models/{name}").json()["sha"])


def test_info_of_model_names_its_file_and_a_revision_of_40_digits(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    info = ask(reader, f"api/models/{NAME}", params={"blobs": "true"}).json()
    assert (info["id"], len(info["sha"])) == (NAME, 40)
    [sibling] = info["siblings"]
    assert (sibling["rfilename"], sibling["size"], sibling["lfs"]["sha256"]) == (
        "ink.safetensors",
        len(CONTENT),
        SHA256,
    )
    assert ask(reader, f"api/models/{NAME}/revision/{info['sha']}").json()["sha"] == info["sha"]


def test_record_of_model_names_its_repository_while_it_is_served(team: ApiCaller) -> None:
    model_id = team.register(CONTENT, PATH)
    team.wait_until_verified(model_id)
    assert team.get(f"/models/{model_id}").json()["hub_file"] == {"repository": NAME, "path": "ink.safetensors"}
    team.put(f"/models/{model_id}", model_status="disabled")
    assert team.get(f"/models/{model_id}").json()["hub_file"] is None


@pytest.mark.parametrize("recursive", ["true", "True", "false"])
def test_tree_of_model_has_size_and_hash(team: ApiCaller, reader: ApiCaller, recursive: str) -> None:
    team.register(CONTENT, PATH)
    query = {"recursive": recursive, "expand": "false"}
    [entry] = ask(reader, f"api/models/{NAME}/tree/main", params=query).json()
    assert (entry["type"], entry["path"], entry["size"]) == ("file", "ink.safetensors", len(CONTENT))
    assert (entry["lfs"]["oid"], len(entry["oid"])) == (SHA256, 40)


def test_paths_info_leaves_out_paths_that_are_missing(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    form = {"paths": ["ink.safetensors", "config.json"], "expand": "False"}
    entries = ask(reader, f"api/models/{NAME}/paths-info/main", "POST", data=form).json()
    assert [entry["path"] for entry in entries] == ["ink.safetensors"]


def test_paths_info_of_too_many_paths_returns_422(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    form = {"paths": [str(number) for number in range(1002)]}
    refused = ask(reader, f"api/models/{NAME}/paths-info/main", "POST", data=form)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "paths")


def test_paths_info_with_large_body_returns_413(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    refused = ask(reader, f"api/models/{NAME}/paths-info/main", "POST", data={"paths": "x" * 262_144})
    assert (refused.status_code, refused.json()["error_code"]) == (413, "body_too_large")


def test_head_of_file_returns_commit_size_and_hash_without_redirect(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    head = ask(reader, f"{NAME}/resolve/main/ink.safetensors", "HEAD", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    expected = {
        "X-Repo-Commit": get_revision(reader),
        "ETag": f'"{SHA256}"',
        "X-Linked-ETag": f'"{SHA256}"',
        "X-Linked-Size": str(len(CONTENT)),
        "Content-Length": str(len(CONTENT)),
        "Accept-Ranges": "bytes",
    }
    assert {name: head.headers[name] for name in expected} == expected
    assert not {name for name in head.headers if name.startswith("x-xet") or name in ("location", "content-encoding")}


def test_get_of_file_redirects_to_the_content_with_ranges(team: ApiCaller, reader: ApiCaller) -> None:
    team.register(CONTENT, PATH)
    redirect = ask(reader, f"{NAME}/resolve/main/ink.safetensors")
    assert (redirect.status_code, redirect.headers["X-Linked-ETag"]) == (307, f'"{SHA256}"')
    url = redirect.headers["Location"]
    assert team.client.get(url).content == CONTENT
    part = team.client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(CONTENT)}"


def test_earlier_version_is_reachable_by_its_revision(team: ApiCaller, reader: ApiCaller) -> None:
    model_id = team.register(CONTENT, PATH)
    first = get_revision(reader)
    newer = make_model_file("newer")
    team.register(newer, PATH, replaces=model_id)
    assert get_revision(reader) != first
    for revision, content in (("main", newer), (first, CONTENT)):
        head = ask(reader, f"{NAME}/resolve/{revision}/ink.safetensors", "HEAD")
        assert head.headers["ETag"] == f'"{hash_of(content).removeprefix("sha256:")}"'
    assert (
        team.client.get(ask(reader, f"{NAME}/resolve/{first}/ink.safetensors").headers["Location"]).content == CONTENT
    )


def test_disabled_deleted_and_foreign_models_look_absent(
    shared_registry: Harness, team: ApiCaller, reader: ApiCaller
) -> None:
    model_id = team.register(CONTENT, PATH)
    other = shared_registry.create_key("integration", shared_registry.create_team("Other"))
    assert ask(other, f"api/models/{NAME}").headers["X-Error-Code"] == "RepoNotFound"
    team.put(f"/models/{model_id}", model_status="disabled")
    assert ask(reader, f"api/models/{NAME}").headers["X-Error-Code"] == "RepoNotFound"
    team.put(f"/models/{model_id}", model_status="active")
    assert ask(reader, f"api/models/{NAME}").status_code == 200
    team.delete(f"/models/{model_id}")
    assert ask(reader, f"api/models/{NAME}").headers["X-Error-Code"] == "RepoNotFound"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("api/models/team/loras__none.safetensors", "RepoNotFound"),
        ("api/models/studio/none", "RepoNotFound"),
        ("api/models/a%00b/c", "RepoNotFound"),
        (f"api/models/{NAME}/revision/v1", "RevisionNotFound"),
        (f"api/models/{NAME}/tree/{'0' * 40}", "RevisionNotFound"),
        (f"{NAME}/resolve/main/config.json", "EntryNotFound"),
        (f"api/models/{NAME}/tree/main/vae", "EntryNotFound"),
    ],
)
def test_missing_repository_revision_or_file_has_code_and_message(
    team: ApiCaller, reader: ApiCaller, path: str, code: str
) -> None:
    team.register(CONTENT, PATH)
    missing = ask(reader, path)
    assert (missing.status_code, missing.headers["X-Error-Code"]) == (404, code)
    assert missing.headers["X-Error-Message"] == missing.json()["detail"]
    assert missing.headers.get("X-Repo-Commit") == (get_revision(reader) if code == "EntryNotFound" else None)


def test_wrong_token_is_refused_with_the_message_that_clients_know(shared_registry: Harness) -> None:
    wrong = ask(ApiCaller(shared_registry.client, "sk-unknown"), f"api/models/{NAME}")
    assert (wrong.status_code, wrong.headers["X-Error-Message"]) == (401, "Invalid credentials in Authorization header")
    assert "X-Error-Code" not in wrong.headers


def test_key_of_machine_is_refused(shared_registry: Harness, team: ApiCaller) -> None:
    refused = ask(shared_registry.create_key("agent", team), f"api/models/{NAME}")
    assert (refused.status_code, refused.headers["X-Error-Message"]) == (403, refused.json()["detail"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "api/repos/create"),
        ("POST", f"api/models/{NAME}/preupload/main"),
        ("POST", f"api/models/{NAME}/commit/main"),
        ("POST", f"{NAME}.git/info/lfs/objects/batch"),
        ("PUT", f"api/models/{NAME}/settings"),
        ("DELETE", "api/repos/delete"),
    ],
)
def test_upload_is_refused_in_words(reader: ApiCaller, method: str, path: str) -> None:
    refused = ask(reader, path, method, json={"name": "x"})
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert "modelyard push" in refused.headers["X-Error-Message"]


def test_harnesses_need_no_token_and_whoami_names_the_key(reader: ApiCaller) -> None:
    assert ask(ApiCaller(reader.client, None), "api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
    assert ask(reader, "api/whoami-v2").json()["name"] == "integration"


def test_unknown_address_returns_404_for_programs_and_browsers(reader: ApiCaller) -> None:
    for accepted in ("*/*", "text/html"):
        answer = ask(reader, "datasets/studio/ink", headers={"Accept": accepted})
        assert (answer.status_code, answer.json()["error_code"]) == (404, "route_not_found")
