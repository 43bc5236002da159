"""The registry behind nginx with the handbook's configuration: HTTPS from clients, plain HTTP to one server."""

import filecmp
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from modelyard.wire.problems import BodyTooLarge, TooManyAttempts, Unauthenticated, Unavailable
from tests.journeys.command_line import CommandLine
from tests.journeys.upload_sizes import MEBIBYTE, PART_SIZE, SINGLE_PUT_LIMIT
from tests.nginx import CONFIGURATION, RunningNginx
from tests.running import OWNER, RunningServer
from tests.server.harness import PASSWORD, ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

SIZE = 48 * MEBIBYTE
UNREACHABLE = 5
NGINX, OTHER_CLIENT, UNTRUSTED = "127.0.0.1", "127.0.0.2", "127.0.0.3"


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
def owner(server: RunningServer) -> ApiCaller:
    return server.owner()


@pytest.fixture
def modelyard(tmp_path: Path, nginx: RunningNginx, owner: ApiCaller) -> CommandLine:
    """Return the owner's command line, which uses nginx's public URL and trusts its certificate."""
    program = CommandLine(tmp_path / "home", nginx.url, owner)
    program.set_environment(SSL_CERT_FILE=str(nginx.certificate))
    return program


@pytest.fixture
def outside_client(nginx: RunningNginx) -> Iterator[httpx2.Client]:
    """Yield an HTTP client of nginx with another source address than nginx."""
    transport = httpx2.HTTPTransport(verify=nginx.trusting_context, local_address=OTHER_CLIENT)
    with httpx2.Client(base_url=nginx.url, transport=transport, timeout=30) as client:
        yield client


def find_logged_client(server: RunningServer, request_id: str) -> str:
    """Return the client address in the server's log line of a request; waits, as the line follows the response."""

    def read_clients() -> list[str]:
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
        return [str(line["client"]) for line in lines if line.get("request_id") == request_id]

    wait_until(lambda: bool(read_clients()))
    [address] = read_clients()
    return address


@pytest.mark.parametrize("size", [SINGLE_PUT_LIMIT - MEBIBYTE, SIZE], ids=["in one piece", "in parts"])
def test_push_and_pull_through_nginx_are_not_buffered_and_keep_the_bytes(
    size: int, modelyard: CommandLine, nginx: RunningNginx, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(size)
    [pushed] = modelyard.run_json("push", file)["files"]
    assert (pushed["outcome"], pushed["model"]["verification"]) == ("registered", "verified")

    modelyard.run_json("pull", "ink.safetensors", "-o", tmp_path / "pulled")

    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)
    assert nginx.buffered_bodies == 0
    assert "GET /blobs/" in nginx.access_log


def test_login_over_https_succeeds(server: RunningServer, nginx: RunningNginx, tmp_path: Path) -> None:
    command_line = CommandLine(tmp_path / "home")
    command_line.set_environment(SSL_CERT_FILE=str(nginx.certificate))
    response = command_line.run_json("login", nginx.url, OWNER, "--password-stdin", stdin_text=f"{PASSWORD}\n")
    assert response["url"] == nginx.url
    assert command_line.run_json("whoami")["email_address"] == OWNER


def test_login_untrusted_certificate_fails_without_traceback(
    server: RunningServer, nginx: RunningNginx, tmp_path: Path
) -> None:
    result = CommandLine(tmp_path / "home").run(
        "login", nginx.url, OWNER, "--password-stdin", stdin_text=f"{PASSWORD}\n"
    )
    assert result.code != 0
    assert "certificate" in result.err
    assert "Traceback" not in result.err


def test_plain_http_request_is_redirected_to_https_with_path_and_query(nginx: RunningNginx) -> None:
    response = httpx2.get(f"{nginx.plain_url}/api/v1/models?limit=1", trust_env=False)
    assert (response.status_code, response.headers["Location"]) == (308, f"{nginx.url}/api/v1/models?limit=1")


def test_presign_with_forged_host_headers_returns_public_url(owner: ApiCaller, outside_client: httpx2.Client) -> None:
    forged_headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    body = {"file_name": "ink.safetensors", "file_size": 64, "model_type": "loras", "model_path": "loras/a.safetensors"}
    response = outside_client.post("/api/v1/models/presign", json=body, headers=owner.headers | forged_headers)
    assert response.json()["upload_url"].startswith(f"{outside_client.base_url}/blobs/".replace("//blobs", "/blobs"))


def test_access_log_ignores_forwarded_for_header_of_client(
    server: RunningServer, outside_client: httpx2.Client
) -> None:
    outside_client.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "through-nginx"})
    assert find_logged_client(server, "through-nginx") == OTHER_CLIENT


def test_access_log_ignores_forwarded_for_header_of_untrusted_proxy(server: RunningServer) -> None:
    transport = httpx2.HTTPTransport(local_address=UNTRUSTED)
    with httpx2.Client(base_url=server.url, transport=transport) as untrusted_client:
        untrusted_client.get("/healthz", headers={"X-Forwarded-For": "203.0.113.9", "X-Request-ID": "past-nginx"})
    assert find_logged_client(server, "past-nginx") == UNTRUSTED


def test_request_id_is_the_same_in_response_server_log_and_nginx_log(
    server: RunningServer, nginx: RunningNginx, outside_client: httpx2.Client
) -> None:
    kept = outside_client.get("/healthz", headers={"X-Request-ID": "client-1"}).headers["X-Request-ID"]
    generated = outside_client.get("/healthz").headers["X-Request-ID"]
    assert kept == "client-1"
    assert find_logged_client(server, generated) == OTHER_CLIENT
    wait_until(lambda: all(f" {request_id}\n" in nginx.access_log for request_id in (kept, generated)))


def test_nginx_log_contains_no_query_and_no_signature(
    modelyard: CommandLine, nginx: RunningNginx, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    modelyard.run_json("push", new_file(MEBIBYTE))
    modelyard.run_json("pull", "ink.safetensors", "-o", tmp_path / "pulled")
    assert "PUT /blobs/" in nginx.access_log
    assert "signature" not in nginx.access_log
    assert "?" not in nginx.access_log


def test_metrics_from_another_address_return_403(
    server: RunningServer, nginx: RunningNginx, outside_client: httpx2.Client
) -> None:
    assert outside_client.get("/metrics").status_code == 403
    assert httpx2.get(f"{nginx.url}/metrics", verify=nginx.trusting_context, trust_env=False).status_code == 200


def test_put_refused_before_its_body_is_sent_returns_403_through_nginx(
    owner: ApiCaller, nginx: RunningNginx, outside_client: httpx2.Client
) -> None:
    ticket = owner.presign(b"x" * (30 * MEBIBYTE)).json()
    tampered = ticket["upload_url"][:-4] + "AAAA"
    statuses = [outside_client.put(tampered, content=b"x" * (30 * MEBIBYTE)).status_code for _ in range(5)]
    assert statuses == [403] * 5


def test_problem_response_passes_nginx_unchanged(server: RunningServer, outside_client: httpx2.Client) -> None:
    response = outside_client.get("/api/v1/users/me")
    assert response.status_code == Unauthenticated.status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_push_through_nginx_resumes_after_server_restart(
    server: RunningServer, nginx: RunningNginx, modelyard: CommandLine, new_file: Callable[[int], Path], tmp_path: Path
) -> None:
    file = new_file(SIZE)
    push = modelyard.start("push", file, "--limit-rate", "20MB", "--json")
    wait_until(lambda: "PUT /blobs/" in nginx.access_log)
    server.kill()
    wait_until(lambda: " 503 " in nginx.access_log)
    server.start()
    nginx.serve(server.port)

    result = push.wait_for_exit()

    assert result.code == 0, result
    assert [file["outcome"] for file in json.loads(result.out)["files"]] == ["registered"]
    modelyard.run_json("pull", "ink.safetensors", "-o", tmp_path / "pulled")
    assert filecmp.cmp(file, tmp_path / "pulled" / file.name, shallow=False)


def test_nginx_without_server_returns_503_problem_of_the_registry(
    server: RunningServer, modelyard: CommandLine, outside_client: httpx2.Client
) -> None:
    server.kill()

    response = outside_client.get("/api/v1/users/me")

    assert response.status_code == Unavailable.status
    assert (response.headers["Content-Type"], response.headers["Retry-After"]) == ("application/problem+json", "2")
    assert response.json() == Unavailable(response.json()["detail"]).to_json()
    result = modelyard.run("ls")
    assert (result.code, result.err.splitlines()[0]) == (UNREACHABLE, response.json()["detail"])


@pytest.mark.parametrize(
    ("path", "size"),
    [("/api/v1/auth/login", 17 * 1024), ("/api/v1/models", MEBIBYTE + 1), ("/", 17 * 1024)],
    ids=["public", "api", "page"],
)
def test_body_over_location_limit_returns_413_problem_from_nginx(
    server: RunningServer, outside_client: httpx2.Client, path: str, size: int
) -> None:
    response = outside_client.post(path, content=b"x" * size, headers={"Content-Type": "application/json"})
    assert response.status_code == BodyTooLarge.status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json() == BodyTooLarge(response.json()["detail"]).to_json()
    # nginx did not forward it: the server adds an id to each response.
    assert "X-Request-ID" not in response.headers


def test_nginx_rate_limits_login_and_not_other_calls_of_the_same_address(
    server: RunningServer, nginx: RunningNginx, owner: ApiCaller, outside_client: httpx2.Client
) -> None:
    # As it is, a machine that takes eight seconds for the calls would have no refusal.
    nginx.public_rate = "1r/m"
    nginx.serve(server.port)
    login = {"email_address": "nobody@studio.test", "user_password": ""}
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(outside_client.post, "/api/v1/auth/login", json=login) for _ in range(120)]
    refused = [call.result() for call in calls if call.result().status_code == 429]

    refused_by_nginx = [response for response in refused if "X-Request-ID" not in response.headers]
    assert refused_by_nginx
    detail = refused_by_nginx[0].json()["detail"]
    assert refused_by_nginx[0].json() == TooManyAttempts(detail, retry_after=5).to_json()
    assert refused_by_nginx[0].headers["Retry-After"] == "5"
    assert outside_client.get("/api/v1/models", headers=owner.headers).status_code == 200


def test_incomplete_request_head_is_closed_by_nginx_after_at_most_20_seconds(
    server: RunningServer, nginx: RunningNginx
) -> None:
    address = urlsplit(nginx.url)
    with (
        socket.create_connection(("127.0.0.1", address.port or 443), timeout=PATIENCE_SECONDS) as plain_socket,
        nginx.trusting_context.wrap_socket(plain_socket, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        with suppress(ConnectionError, ssl.SSLError):
            assert connection.recv(1) == b""
    [seconds] = re.findall(r"^ *client_header_timeout (\d+)s;$", CONFIGURATION.read_text(), re.MULTILINE)
    assert int(seconds) <= 20
