"""HEAD is answered wherever GET is: the same status and headers, and no body."""

from collections.abc import Iterator

import httpx2
import pytest

from modelyard.server.app import create_worker_app
from tests.server.environments import only_on
from tests.server.harness import ApiCaller, Harness, HarnessClient, make_model_file

CONTENT = make_model_file()
A_BROWSER = {"Accept": "text/html"}
# Headers that differ between any two responses.
VARYING = {"x-request-id", "date", "content-security-policy"}
PATHS = [
    "/api/v1/models",
    "/api/v1/models/{model_id}",
    "/api/v1/models/{model_id}/download?redirect=false",
    "/api/v1/models/no-uuid",
    "/api/v1/users/me",
    "/api/v1/teams/current",
    "/api/v1/agents",
    "/api/v1/no-route",
    "/api/v1/openapi.json",
    "/docs",
    "/docs/assets/swagger-ui.css",
    "/healthz",
    "/readyz",
    "/metrics",
    "/",
    "/models",
]


@pytest.fixture(scope="module")
def team(shared_registry: Harness) -> ApiCaller:
    return shared_registry.create_team("Heads")


@pytest.fixture(scope="module")
def model_id(team: ApiCaller) -> str:
    return team.register(CONTENT)


def get_headers(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in VARYING}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accepted", [{}, A_BROWSER], ids=["program", "browser"])
def test_head_has_status_and_headers_of_get_and_no_body(
    team: ApiCaller, model_id: str, path: str, accepted: dict[str, str]
) -> None:
    address, headers = path.replace("{model_id}", model_id), team.headers | accepted
    got, head = (team.client.request(method, address, headers=headers) for method in ("GET", "HEAD"))
    assert head.status_code == got.status_code
    assert head.content == b""
    assert get_headers(head).keys() == get_headers(got).keys()
    if path != "/metrics" and "download" not in path:
        assert get_headers(head) == get_headers(got)


def test_head_without_token_returns_401(shared_registry: Harness) -> None:
    assert shared_registry.anonymous.call("HEAD", "/models").status_code == 401


def test_head_download_returns_the_redirect_of_get(team: ApiCaller, model_id: str) -> None:
    answer = team.call("HEAD", f"/models/{model_id}/download")
    assert (answer.status_code, answer.content) == (307, b"")
    assert answer.headers["Location"]


@only_on("folder", reason="a bucket's URLs are signed for one method")
def test_head_of_signed_url_returns_the_size(team: ApiCaller, model_id: str) -> None:
    url = team.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    answer = team.client.head(url)
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, str(len(CONTENT)), b"")


@pytest.mark.parametrize("path", ["/models/presign", "/auth/login"])
def test_head_of_route_without_get_returns_405(team: ApiCaller, path: str) -> None:
    answer = team.call("HEAD", path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_method_not_allowed_lists_head_beside_get(team: ApiCaller) -> None:
    assert team.call("PATCH", "/models").headers["Allow"] == "GET, HEAD, POST"


def test_openapi_document_does_not_list_head(shared_registry: Harness) -> None:
    document = shared_registry.anonymous.get("/openapi.json").json()
    assert not [path for path, methods in document["paths"].items() if "head" in methods]


@pytest.fixture
def worker(shared_registry: Harness) -> Iterator[HarnessClient]:
    client = HarnessClient(create_worker_app(shared_registry.resources), None)
    yield client
    client.close()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_head_of_monitoring_of_worker_returns_200(worker: HarnessClient, path: str) -> None:
    answer = worker.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
