"""``POST /imports/resolve`` with fakes of the sources."""

import hashlib
from http.server import BaseHTTPRequestHandler

import httpx2
import pytest
from pydantic import ValidationError

from modelyard.server.imports.sources.lookup import find_model, open_sources
from modelyard.server.settings import Settings
from modelyard.wire.problems import SourceNotFound, SourceRestricted, SourceUnavailable
from tests.server.harness import ApiCaller, hash_of, make_model_file
from tests.server.imports.fake_sources import COMMIT, FAR_FUTURE, REPOSITORY, FakeSources
from tests.server.outbound.loopback import LoopbackServer, send, serve

pytestmark = pytest.mark.slow


def resolve(team: ApiCaller, url: str) -> httpx2.Response:
    return team.post("/imports/resolve", url=url)


def get_reason(answer: httpx2.Response) -> tuple[int, str, str | None]:
    body = answer.json()
    return answer.status_code, body["error_code"], body.get("reason")


def test_resolve_huggingface_file_is_pinned_to_its_commit(team: ApiCaller, fakes: FakeSources) -> None:
    content = fakes.huggingface.files["ink.safetensors"]
    answer = resolve(team, f"{fakes.huggingface_url}/studio/ink/blob/main/ink.safetensors")
    assert answer.status_code == 200, answer.text
    draft = answer.json()
    pinned = f"{fakes.huggingface_url}/studio/ink/resolve/{COMMIT}/ink.safetensors"
    assert draft == {
        "url": pinned,
        "source": {
            "kind": "huggingface",
            "page_url": pinned.replace("resolve", "blob"),
            "name": "studio/ink",
            "revision": COMMIT,
        },
        "is_complete": False,
        "file_list": [
            {
                "url": pinned,
                "name": "ink.safetensors",
                "size": len(content),
                "file_name": "ink.safetensors",
                "model_type": "loras",
                "sha256": hash_of(content),
            }
        ],
        "file_name": "ink.safetensors",
        "size": len(content),
        "hashes": {"sha256": hash_of(content)},
        "display_name": "ink",
        "model_type": "loras",
        "model_path": "loras/ink.safetensors",
        "base_model": None,
        "trigger_words": ["inkwash"],
        "license": "cc-by-4.0",
    }
    assert resolve(team, pinned).json() == draft


def test_resolve_huggingface_repository_lists_its_model_files(team: ApiCaller, fakes: FakeSources) -> None:
    fakes.huggingface.files |= {"vae/ink.safetensors": make_model_file("vae"), "old/ink.ckpt": b"pickle"}
    draft = resolve(team, f"{fakes.huggingface_url}/studio/ink").json()
    assert draft["file_name"] == "ink.safetensors"
    assert [each["name"] for each in draft["file_list"]] == ["ink.safetensors", "vae/ink.safetensors", "old/ink.ckpt"]
    assert [each["model_type"] for each in draft["file_list"]] == ["loras", "vae", "loras"]
    other = resolve(team, draft["file_list"][1]["url"]).json()
    assert (other["model_type"], other["model_path"]) == ("vae", "vae/ink.safetensors")


def test_resolve_huggingface_gated_or_absent_says_so(team: ApiCaller, fakes: FakeSources) -> None:
    base = fakes.huggingface_url
    assert get_reason(resolve(team, f"{base}/studio/none")) == (422, "source_not_found", None)
    assert get_reason(resolve(team, f"{base}/studio/ink/blob/main/x.sft")) == (422, "source_not_found", None)
    fakes.huggingface.is_gated = True
    gated = resolve(team, f"{base}/studio/ink/blob/main/ink.safetensors")
    assert get_reason(gated) == (422, "source_restricted", "gated")


@pytest.mark.parametrize(
    ("status", "headers", "retry_after"),
    [
        (429, {"RateLimit": '"resolvers";r=0;t=55'}, 55),
        (429, {"Retry-After": "7"}, 7),
        (503, {}, 30),
        (500, {"Retry-After": "x"}, 30),
    ],
)
def test_resolve_overloaded_source_returns_503_with_its_pause(
    team: ApiCaller, fakes: FakeSources, status: int, headers: dict[str, str], retry_after: int
) -> None:
    fakes.huggingface.refusals = [(status, headers)]
    answer = resolve(team, f"{fakes.huggingface_url}/studio/ink")
    assert get_reason(answer) == (503, "source_unavailable", None)
    assert answer.headers["Retry-After"] == str(retry_after)


@pytest.mark.parametrize(
    "link",
    [
        *("{civitai}/models/111", "{civitai}/models/111/ink?modelVersionId=222", "{civitai}/api/v1/model-versions/222"),
        *("{civitai}/api/download/models/222?fileId=333", "urn:air:sdxl:lora:civitai:111@222+333.safetensors"),
    ],
)
def test_resolve_civitai_every_form_is_pinned_to_the_file(team: ApiCaller, fakes: FakeSources, link: str) -> None:
    answer = resolve(team, link.format(civitai=fakes.civitai_url))
    assert answer.status_code == 200, answer.text
    draft = answer.json()
    content = fakes.civitai.content
    assert draft["url"] == f"{fakes.civitai_url}/api/download/models/222?fileId=333"
    assert draft["source"]["page_url"] == f"{fakes.civitai_url}/models/111?modelVersionId=222"
    assert (draft["size"], draft["hashes"]["sha256"]) == (
        len(content),
        "sha256:" + hashlib.sha256(content).hexdigest(),
    )
    assert (draft["model_path"], draft["display_name"]) == ("loras/ink_portraits_.safetensors", "Ink_ Portraits v2.0")
    assert (draft["base_model"], draft["trigger_words"]) == ("Pony", ["inkwash", "ink wash style"])
    assert "secret" not in answer.text


def test_resolve_civitai_early_access_and_refusals_say_so(team: ApiCaller, fakes: FakeSources) -> None:
    link, civitai = f"{fakes.civitai_url}/models/111", fakes.civitai
    civitai.download_refusal = (401, {"error": "Unauthorized", "message": "The creator requires you to be logged in"})
    assert get_reason(resolve(team, link)) == (422, "source_restricted", "sign_in")
    civitai.download_refusal = (403, {"error": "Early Access", "deadline": FAR_FUTURE})
    early = resolve(team, link)
    assert get_reason(early) == (422, "source_restricted", "early_access")
    assert "until 2999-01-01" in early.json()["detail"]
    civitai.download_refusal = (410, {"error": "Archived"})
    assert get_reason(resolve(team, link)) == (422, "source_not_found", None)
    civitai.version |= {"availability": "EarlyAccess", "earlyAccessEndsAt": FAR_FUTURE}
    assert get_reason(resolve(team, link)) == (422, "source_restricted", "early_access")
    civitai.version |= {"availability": "Public", "earlyAccessEndsAt": None, "files": []}
    assert get_reason(resolve(team, link)) == (422, "source_not_found", None)
    other = f"{fakes.civitai_url}/models/112?modelVersionId=222"
    assert get_reason(resolve(team, other)) == (422, "source_not_found", None)


@pytest.mark.parametrize("files", [5, [5], [{"id": [1], "name": "a.sft"}], [{"name": "a.sft"}], {}])
def test_resolve_civitai_version_with_odd_files_is_not_found(
    team: ApiCaller, fakes: FakeSources, files: object
) -> None:
    fakes.civitai.version["files"] = files
    answer = resolve(team, f"{fakes.civitai_url}/models/111")
    assert get_reason(answer) == (422, "source_not_found", None)


def test_resolve_civitai_file_that_is_no_model_is_refused(team: ApiCaller, fakes: FakeSources) -> None:
    answer = resolve(team, f"{fakes.civitai_url}/api/download/models/222?fileId=334")
    assert get_reason(answer) == (422, "link_refused", None)


def test_resolve_document_with_half_a_character_returns_503(team: ApiCaller, fakes: FakeSources) -> None:
    fakes.huggingface.card["license"] = "\ud800"
    answer = resolve(team, f"{fakes.huggingface_url}/{REPOSITORY}")
    assert answer.status_code == 503, answer.text


def test_open_sources_mirror_counts_as_listed() -> None:
    with serve(lambda handler: send(handler, 404)) as mirror:
        settings = Settings(import_huggingface_url=mirror.address)
        with pytest.raises(SourceNotFound):
            find_model(open_sources(settings), f"{mirror.address}/studio/ink")


@pytest.mark.parametrize("status", [401, 403])
def test_find_model_storage_refuses_is_tried_again_without_asking_for_a_token(status: int) -> None:
    with (
        serve(lambda handler: send(handler, status, b"<Error/>")) as storage,
        serve(lambda handler: send(handler, 302, headers={"Location": f"{storage.address}/x"})) as source,
    ):
        sources = open_sources(Settings(import_hosts=(_get_netloc(source), _get_netloc(storage))))
        with pytest.raises(SourceUnavailable) as refused:
            find_model(sources, f"{source.address}/ink.safetensors")
    assert "source-token" not in refused.value.detail
    assert refused.value.facts["retry_after"] > 0


def test_find_model_gated_after_redirect_names_the_requested_host() -> None:
    headers = {"X-Error-Code": "GatedRepo"}
    with (
        serve(lambda handler: send(handler, 403, headers=headers)) as other,
        serve(lambda handler: send(handler, 302, headers={"Location": f"{other.address}/x"})) as source,
    ):
        sources = open_sources(Settings(import_hosts=(_get_netloc(source), _get_netloc(other))))
        with pytest.raises(SourceRestricted) as refused:
            find_model(sources, f"{source.address}/ink.safetensors")
    assert refused.value.facts["host"] == _get_netloc(source)


def _get_netloc(server: LoopbackServer) -> str:
    return f"127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    "host",
    [
        *("mirror.example:0", "mirror.example:99999", "[::1]:70000", "a b"),
        *("...", "[.]", "[1.2.3.4]", "a..b", "a" * 64, ".".join(["a" * 62] * 4) + ".abcdefgh"),
    ],
)
def test_settings_listed_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValidationError):
        Settings(import_hosts=(host,))


def test_resolve_direct_address_takes_name_and_size_of_its_headers(team: ApiCaller, fakes: FakeSources) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "HEAD":
            send(handler, 405)
        else:
            send(handler, 200, b"x" * 500, {"Content-Disposition": 'attachment; filename="Ink LoRA.safetensors"'})

    fakes.route_storage(respond)
    draft = resolve(team, f"{fakes.storage.server.address}/download?id=5").json()
    assert (draft["model_path"], draft["size"]) == ("loras/Ink LoRA.safetensors", 500)
    assert draft["hashes"] == {"sha256": None}


@pytest.mark.parametrize(
    "url",
    [
        *("http://models.example/x.sft", "https://169.254.169.254/latest/meta-data/x.sft", "https://127.0.0.1/x.sft"),
        *("https://localhost/x.sft", "https://models.example:8443/x.sft", "ftp://models.example/x.sft", "ink"),
    ],
)
def test_resolve_address_inside_a_network_is_refused(team: ApiCaller, url: str) -> None:
    assert get_reason(resolve(team, url)) == (422, "link_refused", None)


def test_resolve_web_page_is_refused(team: ApiCaller, fakes: FakeSources) -> None:
    fakes.route_storage(lambda handler: send(handler, 200, b"<html>", {"Content-Type": "text/html"}))
    answer = resolve(team, f"{fakes.storage.server.address}/ink.safetensors")
    assert get_reason(answer) == (422, "link_refused", None)
    assert "web page" in answer.json()["detail"]


def test_resolve_civitai_other_file_has_the_folder_of_the_model(team: ApiCaller, fakes: FakeSources) -> None:
    first = fakes.civitai.version["files"][0] | {"primary": False}
    others = [{"id": 335, "name": "low_noise.safetensors"}, {"id": 336, "name": "own.safetensors", "type": "VAE"}]
    fakes.civitai.version["files"] += [first | each for each in others]
    draft = team.post("/imports/resolve", url=f"{fakes.civitai_url}/models/111").json()
    assert [each["model_type"] for each in draft["file_list"]] == ["loras", "loras", "vae"]
    assert draft["is_complete"] is True


@pytest.mark.parametrize(
    ("path", "count", "is_complete"),
    [("", 199, True), ("", 200, False), ("/blob/main/ink.safetensors", 1, False), ("/tree/main/vae", 1, True)],
)
def test_resolve_huggingface_says_whether_all_files_are_listed(
    team: ApiCaller, fakes: FakeSources, path: str, count: int, is_complete: bool
) -> None:
    fakes.huggingface.files |= {f"vae/{number}.safetensors": b"x" for number in range(count)}
    draft = team.post("/imports/resolve", url=f"{fakes.huggingface_url}/studio/ink{path}").json()
    assert draft["is_complete"] is is_complete
