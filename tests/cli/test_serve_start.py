"""What ``modelyard serve`` does before it listens: it takes its port first, and loses no login."""

import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.server.http.server import open_sockets
from tests.ports import free_port
from tests.running import RunningServer
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

LOGIN = re.compile(r"e-mail +(\S+).*?password +(\S+)", re.DOTALL)


def serve(*options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "modelyard", "serve", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_SECONDS, check=False)


@pytest.mark.parametrize("option", ["--port {}", "--port={}"])
def test_serve_on_taken_port_creates_nothing_and_suggests_a_free_port(tmp_path: Path, option: str) -> None:
    data = tmp_path / "my yard"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = serve("--data-dir", data, *option.format(port).split())
    assert (ran.returncode, ran.stdout) == (1, "")
    assert not data.exists()
    assert f"Port {port} of 127.0.0.1 is taken" in ran.stderr
    suggested = shlex.split(ran.stderr.splitlines()[-1])
    assert suggested[:-1] == ["modelyard", "serve", "--data-dir", str(data), "--port"]
    assert int(suggested[-1]) not in (0, port)


def test_worker_on_taken_metrics_port_suggests_another_metrics_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--no-http", "--metrics-port", port, "--data-dir", tmp_path / "yard")
        ran = subprocess.run(
            [sys.executable, "-m", "modelyard", "serve", *map(str, options)],
            env={"MODELYARD_STORAGE_URL": "s3://models"},
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
    assert ran.returncode == 1
    assert "--metrics-port " in ran.stderr.splitlines()[-1]
    assert not (tmp_path / "yard").exists()


def test_serve_on_address_of_another_machine_says_which_option_to_change(tmp_path: Path) -> None:
    ran = serve("--host", "192.0.2.1", "--data-dir", tmp_path / "yard")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "192.0.2.1:8400" in ran.stderr
    assert "--host" in ran.stderr
    assert not (tmp_path / "yard").exists()


def test_serve_beside_a_start_that_does_not_listen_yet_creates_nothing(tmp_path: Path) -> None:
    port = free_port()
    (reserved,) = open_sockets("127.0.0.1", port, "port")
    with reserved:
        ran = serve("--data-dir", tmp_path / "yard", "--port", port)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"Port {port} of 127.0.0.1 is taken" in ran.stderr
    assert not (tmp_path / "yard").exists()


@pytest.mark.parametrize("has_same_port", [True, False], ids=["same-port", "other-port"])
def test_serve_of_a_registry_that_runs_names_its_process_and_no_other_port(
    tmp_path: Path, *, has_same_port: bool
) -> None:
    with RunningServer(tmp_path / "yard") as server:
        ran = serve("--data-dir", tmp_path / "yard", "--port", server.port if has_same_port else 0)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert f'runs already: process {server.pid} serves the folder "{tmp_path / "yard"}"' in ran.stderr
        assert "--port" not in ran.stderr


def test_serve_right_after_a_stop_with_open_connections_listens_on_the_same_port(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "yard", port=free_port()) as server:
        address = server.url
        assert server.client().get("/healthz").status_code == 200
        # Its connection is still open, so the server closes it, and its port stays in use by that.
        server.stop()
        server.start()
        assert server.url == address
        assert server.client().get("/healthz").status_code == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="This machine has no IPv6.")
def test_serve_on_ipv6_shows_an_address_that_can_be_opened(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "yard", host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert f"modelyard login {server.url} " in server.log.read_text()
        assert server.client().get("/healthz").status_code == 200


def find_login(server: RunningServer) -> tuple[str, str]:
    """Return address and password as the last start has shown them."""
    email, password = LOGIN.findall(server.log.read_text())[-1]
    return email, password


def test_first_login_is_shown_with_the_command_that_signs_in_with_it(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "yard") as server:
        email, _ = find_login(server)
        assert f"modelyard login {server.url} {email} " in server.log.read_text()


def sign_in(caller: ApiCaller, login: tuple[str, str]) -> int:
    return caller.post("/auth/login", email_address=login[0], user_password=login[1]).status_code


def test_generated_login_is_shown_at_each_start_until_it_is_used(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data", owner_password="") as server:
        first = find_login(server)
        server.stop()
        server.start()
        assert len(LOGIN.findall(server.log.read_text())) == 2
        assert find_login(server) == first
        assert sign_in(server.anonymous(), first) == 200
        server.stop()
        server.start()
        assert len(LOGIN.findall(server.log.read_text())) == 2
