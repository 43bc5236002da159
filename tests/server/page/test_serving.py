import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from modelyard.server.page.files import read_page
from modelyard.server.page.serving import WORKER_NAME, Page

SCRIPT = b"console.log(1)"
INDEX = '<!doctype html><script nonce="__NONCE__" src="/assets/main-1a.js"></script>'
A_BROWSER = {"Accept": "text/html,application/xhtml+xml"}
STORE = "https://bucket.s3.studio.test"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "main-1a.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "fileWorker-2b.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "main-1a.js.gz").write_bytes(gzip.compress(SCRIPT))
    return tmp_path


@pytest.fixture
def open_page() -> Callable[[Path], TestClient]:
    def opened(folder: Path) -> TestClient:
        app = Starlette(routes=[Route("/api/v1/models", lambda _: JSONResponse({}))])
        app.router.default = Page(read_page(folder), [STORE], app.router.default)
        return TestClient(app)

    return opened


@pytest.fixture
def page(built: Path, open_page: Callable[[Path], TestClient]) -> TestClient:
    return open_page(built)


@pytest.mark.parametrize("address", ["/", "/models", "/machines?machine=render-01", "/no/such/view"])
def test_get_any_page_path_from_browser_returns_index(page: TestClient, address: str) -> None:
    answer = page.get(address, headers=A_BROWSER)
    assert answer.status_code == 200
    assert "main-1a.js" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("address", ["/api/v1/nothing", "/blobs/nothing", "/assets/nothing.js"])
def test_get_unknown_api_path_returns_problem_instead_of_page(page: TestClient, address: str) -> None:
    assert page.get(address, headers=A_BROWSER).status_code == 404


@pytest.mark.parametrize(("address", "status"), [("/", 200), ("/models", 404), ("/models/7", 404), ("/no/such", 404)])
def test_get_page_path_from_program_returns_one_line_that_names_the_api(
    page: TestClient, address: str, status: int
) -> None:
    answer = page.get(address, headers={"Accept": "*/*"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert answer.text.count("\n") == 1
    assert "/api/v1," in answer.text
    assert "/api/v1/openapi.json" in answer.text
    assert answer.headers["Vary"] == page.get(address, headers=A_BROWSER).headers["Vary"] == "Accept"


def test_get_page_path_as_json_or_by_other_method_returns_404_of_the_api(page: TestClient) -> None:
    answers = [
        page.get("/models", headers={"Accept": "application/json"}),
        page.get("/models", headers={"Accept": "application/problem+json"}),
        page.post("/models", headers=A_BROWSER),
    ]
    assert [(answer.status_code, "/api/v1" in answer.text) for answer in answers] == [(404, False)] * 3


def test_index_response_has_fresh_nonce_in_policy(page: TestClient) -> None:
    answers = [page.get("/", headers=A_BROWSER) for _ in range(2)]
    nonces = [answer.text.split('nonce="')[1].split('"')[0] for answer in answers]
    assert nonces[0] != nonces[1]
    for answer, nonce in zip(answers, nonces, strict=True):
        assert f"style-src 'self' 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]


def test_index_policy_forbids_inline_scripts_and_allows_store_only(page: TestClient) -> None:
    policy = page.get("/", headers=A_BROWSER).headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["connect-src"] == f"'self' {STORE}"
    assert rules["frame-ancestors"] == "'none'"


def test_script_of_a_web_worker_has_a_policy_that_allows_webassembly(page: TestClient) -> None:
    answer = page.get("/assets/fileWorker-2b.js")
    assert "script-src 'self' 'wasm-unsafe-eval'" in answer.headers["Content-Security-Policy"]
    assert "Content-Security-Policy" not in page.get("/assets/main-1a.js").headers


def test_get_script_is_compressed_and_cached_forever(page: TestClient) -> None:
    answer = page.get("/assets/main-1a.js", headers={"Accept-Encoding": "gzip, deflate"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.content == SCRIPT
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip; q=0.000, br;q=0.0"])
def test_get_script_without_accept_encoding_is_uncompressed(page: TestClient, accepted: str) -> None:
    answer = page.get("/assets/main-1a.js", headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in answer.headers
    assert answer.content == SCRIPT


def test_get_script_with_matching_etag_returns_304(page: TestClient) -> None:
    etag = page.get("/assets/main-1a.js").headers["ETag"]
    answer = page.get("/assets/main-1a.js", headers={"If-None-Match": etag})
    assert (answer.status_code, answer.content) == (304, b"")


def test_get_script_etag_of_each_encoding_is_the_same_and_weak(page: TestClient) -> None:
    answers = [page.get("/assets/main-1a.js", headers={"Accept-Encoding": coding}) for coding in ("gzip", "identity")]
    assert [answer.headers.get("Content-Encoding") for answer in answers] == ["gzip", None]
    etags = [answer.headers["ETag"] for answer in answers]
    assert etags[0] == etags[1]
    assert etags[0].startswith('W/"')


@pytest.mark.parametrize("address", ["/assets/..%2fserving.py", "/assets/%2e%2e/index.html", "/assets/main-1a.js.gz"])
def test_get_path_outside_build_is_not_served(page: TestClient, address: str) -> None:
    assert page.get(address).status_code == 404


def test_index_without_build_returns_503_with_instructions(
    tmp_path: Path, open_page: Callable[[Path], TestClient]
) -> None:
    answer = open_page(tmp_path / "nothing").get("/", headers=A_BROWSER)
    assert answer.status_code == 503
    assert "make page" in answer.text


def test_every_web_worker_of_the_page_is_named_so_that_it_gets_its_policy() -> None:
    sources = [path.read_text() for path in Path("web/src").rglob("*.ts*")]
    workers = [name for text in sources for name in re.findall(r"new Worker\(\s*new URL\('([^']+)'", text)]
    assert workers
    assert all(Path(name).stem.endswith(WORKER_NAME.removesuffix("-")) for name in workers), workers
