"""A real nginx in front of real servers, with the configuration from the operator's handbook."""

import os
import re
import signal
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from tests.certificates import make_certificate
from tests.ports import free_port
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.repository import ROOT

CONFIGURATION = ROOT / "docs" / "deploy" / "nginx.conf"
START_SECONDS = PATIENCE_SECONDS
PUBLIC_RATE = "10r/s"
# The server line of the handbook's file, which is replaced by the test's servers.
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
    """nginx on free ports of 127.0.0.1, with a self-signed certificate for ``localhost``.

        with RunningNginx(tmp_path / "nginx") as nginx:
            server = RunningServer(tmp_path / "data", public_url=nginx.url, trusted_proxies="127.0.0.1")
            nginx.serve(server.port)

    Its URL is known before any server runs; until then it answers 502.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._servers: Sequence[int] = [free_port()]
        self._ports = free_port(), free_port()
        self.plain_url = f"http://localhost:{self._ports[0]}"
        self.url = f"https://localhost:{self._ports[1]}"
        # The rate of calls to the public routes, if it is another than the handbook's; set it before a start.
        self.public_rate = PUBLIC_RATE
        # One file with the key and the certificate.
        self.certificate = folder / "tls.pem"

    def __enter__(self) -> Self:
        (self._folder / "temporary").mkdir()
        make_certificate(self._folder, "DNS:localhost")
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
    def trusting_context(self) -> ssl.SSLContext:
        """A client context that trusts this nginx's certificate only."""
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def buffered_bodies(self) -> int:
        """How many request bodies nginx has buffered to temporary files, from its error log."""
        output = (self._folder / "error.log").read_text()
        return len(re.findall(r"is buffered to a temporary file", output))

    def serve(self, *ports: int) -> None:
        """Restart with the servers on these ports as upstreams."""
        self._servers = ports
        self.stop()
        self.start()

    def start(self) -> None:
        """Start nginx and wait until it answers.

        Raises:
            AssertionError: it exited (the message is its output), or did not answer in time.
        """
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "main.conf").write_text(_MAIN.format(folder=self._folder, user=user))
        (self._folder / "modelyard.conf").write_text(self._build_configuration())
        command = ["nginx", "-e", str(self._folder / "error.log"), "-c", str(self._folder / "main.conf")]
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self._wait_until_answering()

    def stop(self) -> None:
        """Stop nginx and wait for its exit; does nothing if it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(START_SECONDS)

    def _build_configuration(self) -> str:
        """Return the handbook's file with the test's ports, name, certificate, paths and rate, otherwise unchanged."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        server_line = _SERVER.search(text)
        assert server_line is not None
        servers = "\n".join(f"    server 127.0.0.1:{port} {server_line['limits']}" for port in self._servers)
        for original, replacement in (
            (server_line[0], servers),
            ("listen 80;", f"listen 127.0.0.1:{self._ports[0]};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self._ports[1]} ssl;"),
            ("https://$server_name", f"https://$server_name:{self._ports[1]}"),
            ("models.example", "localhost"),
            ("/etc/ssl/modelyard/cert.pem", str(self.certificate)),
            ("/etc/ssl/modelyard/key.pem", str(self.certificate)),
            (f"zone=modelyard_public:10m rate={PUBLIC_RATE}", f"zone=modelyard_public:10m rate={self.public_rate}"),
            ("/var/log/nginx/modelyard.log", f"{self._folder}/access.log"),
        ):
            assert original in text, f"{CONFIGURATION.name} has no '{original}' any more."
            text = text.replace(original, replacement)
        return text

    def _wait_until_answering(self) -> None:
        """Poll the plain HTTP port until nginx answers; fail if it exits."""
        process = self._process
        assert process is not None

        def is_answering() -> bool:
            assert process.poll() is None, (self._folder / "output").read_text()
            try:
                httpx2.get(self.plain_url, trust_env=False)
            except httpx2.TransportError:
                return False
            return True

        wait_until(is_answering, START_SECONDS)
