"""A real nginx before real servers, with the configuration that the operator's handbook gives."""

import os
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.postgres import free_port
from tools.repository import ROOT

CONFIGURATION = ROOT / "docs" / "deploy" / "nginx.conf"
START_SECONDS = 30.0
# What stands in the handbook's file where another machine has something else.
_SERVER = re.compile(r"^    server 127\.0\.0\.1:8400 (?P<limits>.*)$", re.MULTILINE)
_MAIN = """
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    include {folder}/modelyard.conf;
}}
"""


class RunningNginx:
    """nginx on free ports of 127.0.0.1, which calls itself ``localhost`` and has a certificate of its own making.

        with RunningNginx(tmp_path / "nginx") as nginx:
            server = RunningServer(tmp_path / "data", public_url=nginx.url, trusted_proxies="127.0.0.1")
            nginx.serve(server.port)

    The address is known, and answers 502, before any server is there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._servers: Sequence[int] = [free_port()]
        self._ports = free_port(), free_port()
        self.plain_url = f"http://localhost:{self._ports[0]}"
        self.url = f"https://localhost:{self._ports[1]}"
        self.certificate = folder / "cert.pem"

    def __enter__(self) -> Self:
        (self._folder / "temporary").mkdir()
        self._make_certificate()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def access_log(self) -> str:
        return (self._folder / "access.log").read_text()

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def files_put_aside(self) -> int:
        """How many bodies nginx has written to its disk since it started: it counts them in the files' names."""
        said = (self._folder / "error.log").read_text()
        return len(re.findall(r"is buffered to a temporary file", said))

    def serve(self, *ports: int) -> None:
        """Pass on to the servers on these ports from now on."""
        self._servers = ports
        self.stop()
        self.start()

    def start(self) -> None:
        """Start and wait until it answers.

        Raises:
            AssertionError: it ended or does not answer; the message is its log.
        """
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "main.conf").write_text(_MAIN.format(folder=self._folder, user=user))
        (self._folder / "modelyard.conf").write_text(self._configuration())
        command = ["nginx", "-e", str(self._folder / "error.log"), "-c", str(self._folder / "main.conf")]
        with (self._folder / "said").open("ab") as said:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        self._wait()

    def stop(self) -> None:
        """End it; may be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)

    def _configuration(self) -> str:
        """The handbook's file with this machine's ports, name, certificate and paths: nothing else differs."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        found = _SERVER.search(text)
        assert found is not None
        servers = "\n".join(f"    server 127.0.0.1:{port} {found['limits']}" for port in self._servers)
        for stands, here in (
            (found[0], servers),
            ("listen 80;", f"listen 127.0.0.1:{self._ports[0]};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self._ports[1]} ssl;"),
            ("https://$server_name", f"https://$server_name:{self._ports[1]}"),
            ("models.example", "localhost"),
            ("/etc/ssl/modelyard", str(self._folder)),
            ("/var/log/nginx/modelyard.log", f"{self._folder}/access.log"),
        ):
            assert stands in text, f"{CONFIGURATION.name} has no '{stands}' any more."
            text = text.replace(stands, here)
        return text

    def _make_certificate(self) -> None:
        command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        command += ["-keyout", str(self._folder / "key.pem"), "-out", str(self.certificate)]
        subprocess.run(command, check=True, capture_output=True)

    def _wait(self) -> None:
        assert self._process is not None
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            assert self._process.poll() is None, (self._folder / "said").read_text()
            try:
                httpx2.get(self.plain_url, trust_env=False)
            except httpx2.TransportError:
                time.sleep(0.02)
            else:
                return
        raise AssertionError("nginx did not answer.")
