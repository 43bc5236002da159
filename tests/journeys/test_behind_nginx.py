"""The registry behind nginx, as the operator's handbook sets it up: https outside, one plain server inside."""

import filecmp
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from modelyard.wire.problems import Unauthenticated, Unavailable
from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.journeys.waiting import wait_for
from tests.nginx import RunningNginx
from tests.running import OWNER, RunningServer
from tests.server.world import PASSWORD, Someone

SIZE = 48 * MEBIBYTE
UNREACHABLE = 5
NGINX, ELSEWHERE, STRANGER = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[RunningNginx]:
    with RunningNginx(tmp_path / "nginx") as nginx:
        yield nginx


@pytest.fixture
def server(tmp_path: Path, nginx: RunningNginx) -> Iterator[RunningServer]:
    server = RunningServer(
        tmp_path / "data",
        part_size=str(PART_SIZE),
        single_put_limit=str(SINGLE_PUT_LIMIT),
        public_url=nginx.url,
        trusted_proxies=NGINX,
    )
    with server:
        nginx.serve(server.port)
        yield server


@pytest.fixture
def owner(server: RunningServer) -> Someone:
    return server.owner()


@pytest.fixture
def modelyard(tmp_path: Path, nginx: RunningNginx, owner: Someone) -> Program:
    """The owner's program, which knows the address outside and trusts the certificate there."""
    program = Program(tmp_path / "home", nginx.url, owner)
    program.export(SSL_CERT_FILE=str(nginx.certificate))
    return program


@pytest.fixture
def outside(nginx: RunningNginx) -> Iterator[httpx2.Client]:
    """A client on another machine than nginx."""
    way = httpx2.HTTPTransport(verify=nginx.trust, local_address=ELSEWHERE)
    with httpx2.Client(base_url=nginx.url, transport=way, timeout=30) as client:
        yield client


def caller_in_log(server: RunningServer, request_id: str) -> str:
    """The address that the server noted of the request; it writes the line after the answer."""

    def noted() -> list[str]:
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        return [str(line["client"]) for line in lines if line.get("request_id") == request_id]

    wait_for(lambda: bool(noted()))
    [address] = noted()
    return address


@pytest.mark.parametrize("size", [SINGLE_PUT_LIMIT - MEBIBYTE, SIZE], ids=["in one piece", "in parts"])
def test_a_file_goes_through_nginx_and_comes_back_the_same(
    size: int, modelyard: Program, nginx: RunningNginx, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(size)
    [pushed] = modelyard.ask("push", file)["files"]
    assert (pushed["outcome"], pushed["model"]["verification"]) == ("registered", "verified")

    modelyard.ask("pull", "ink.safetensors", "-o", tmp_path / "pulled")

    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    assert nginx.files_put_aside == 0
    assert "GET /blobs/" in nginx.access_log


def test_a_person_signs_in_over_https(server: RunningServer, nginx: RunningNginx, tmp_path: Path) -> None:
    person = Program(tmp_path / "home")
    person.export(SSL_CERT_FILE=str(nginx.certificate))
    answer = person.ask("login", nginx.url, OWNER, "--password-stdin", typed=f"{PASSWORD}\n")
    assert answer["url"] == nginx.url
    assert person.ask("whoami")["email_address"] == OWNER


def test_a_certificate_that_the_client_does_not_trust_is_refused_in_words(
    server: RunningServer, nginx: RunningNginx, tmp_path: Path
) -> None:
    ran = Program(tmp_path / "home").run("login", nginx.url, OWNER, "--password-stdin", typed=f"{PASSWORD}\n")
    assert ran.code != 0
    assert "certificate" in ran.err
    assert "Traceback" not in ran.err


def test_plain_http_is_sent_on_to_https_with_its_path_and_query(nginx: RunningNginx) -> None:
    answer = httpx2.get(f"{nginx.plain_url}/api/v1/models?limit=1", trust_env=False)
    assert (answer.status_code, answer.headers["Location"]) == (308, f"{nginx.url}/api/v1/models?limit=1")


def test_links_have_the_address_outside_whatever_host_a_caller_invents(owner: Someone, outside: httpx2.Client) -> None:
    invented = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    body = {"file_name": "ink.safetensors", "file_size": 64, "model_type": "loras", "model_path": "loras/a.safetensors"}
    answer = outside.post("/api/v1/models/presign", json=body, headers=owner.headers | invented)
    assert answer.json()["upload_url"].startswith(f"{outside.base_url}/blobs/".replace("//blobs", "/blobs"))


def test_the_log_has_the_address_of_the_caller_and_not_what_the_caller_says_of_it(
    server: RunningServer, outside: httpx2.Client
) -> None:
    outside.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "through-nginx"})
    assert caller_in_log(server, "through-nginx") == ELSEWHERE


def test_forwarded_headers_are_not_believed_from_anybody_but_nginx(server: RunningServer) -> None:
    way = httpx2.HTTPTransport(local_address=STRANGER)
    with httpx2.Client(base_url=server.url, transport=way) as stranger:
        stranger.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "past-nginx"})
    assert caller_in_log(server, "past-nginx") == STRANGER


def test_one_request_id_is_in_the_answer_and_in_both_logs(
    server: RunningServer, nginx: RunningNginx, outside: httpx2.Client
) -> None:
    given = outside.get("/healthz", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"]
    made = outside.get("/healthz").headers["X-Request-ID"]
    assert given == "mine-1"
    assert caller_in_log(server, made) == ELSEWHERE
    wait_for(lambda: all(f" {each}\n" in nginx.access_log for each in (given, made)))


def test_no_signature_and_no_token_is_in_the_log_of_nginx(
    modelyard: Program, nginx: RunningNginx, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    modelyard.ask("push", new_file(MEBIBYTE))
    modelyard.ask("pull", "ink.safetensors", "-o", tmp_path / "pulled")
    assert "PUT /blobs/" in nginx.access_log
    assert "signature" not in nginx.access_log
    assert "?" not in nginx.access_log


def test_metrics_are_not_shown_outside(server: RunningServer, nginx: RunningNginx, outside: httpx2.Client) -> None:
    assert outside.get("/metrics").status_code == 403
    assert httpx2.get(f"{nginx.url}/metrics", verify=nginx.trust, trust_env=False).status_code == 200


def test_a_refusal_comes_through_although_the_body_is_still_on_its_way(
    owner: Someone, nginx: RunningNginx, outside: httpx2.Client
) -> None:
    ticket = owner.presign(b"x" * (30 * MEBIBYTE)).json()
    tampered = ticket["upload_url"][:-4] + "AAAA"
    statuses = [outside.put(tampered, content=b"x" * (30 * MEBIBYTE)).status_code for _ in range(5)]
    assert statuses == [403] * 5


def test_a_problem_comes_through_as_the_problem_that_it_is(server: RunningServer, outside: httpx2.Client) -> None:
    answer = outside.get("/api/v1/users/me")
    assert answer.status_code == Unauthenticated.status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_pushing_goes_on_when_the_server_comes_back(
    server: RunningServer, nginx: RunningNginx, modelyard: Program, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(SIZE)
    push = modelyard.start("push", file, "--limit-rate", "20MB", "--json")
    wait_for(lambda: "PUT /blobs/" in nginx.access_log)
    server.kill()
    wait_for(lambda: " 503 " in nginx.access_log)
    server.start()
    nginx.serve(server.port)

    ended = push.end()

    assert ended.code == 0, ended
    assert [each["outcome"] for each in json.loads(ended.out)["files"]] == ["registered"]
    modelyard.ask("pull", "ink.safetensors", "-o", tmp_path / "pulled")
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)


def test_while_the_server_is_away_nginx_answers_as_the_registry_would(
    server: RunningServer, modelyard: Program, outside: httpx2.Client
) -> None:
    server.kill()

    answer = outside.get("/api/v1/users/me")

    assert answer.status_code == Unavailable.status
    assert (answer.headers["Content-Type"], answer.headers["Retry-After"]) == ("application/problem+json", "2")
    assert answer.json() == Unavailable(answer.json()["detail"]).as_json()
    ran = modelyard.run("ls")
    assert (ran.code, ran.err.splitlines()[0]) == (UNREACHABLE, answer.json()["detail"])
