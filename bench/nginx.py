"""nginx on loopback as a plain PUT and GET server, for comparison."""

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

CONFIG = """
daemon off; pid {home}/nginx.pid; error_log {home}/error.log; worker_processes 1; user root;
load_module /usr/lib/nginx/modules/ngx_http_dav_module.so;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; client_max_body_size 0; client_body_temp_path {home}/body;
  proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  server {{ listen 127.0.0.1:{port}; root {home}/files; location / {{ dav_methods PUT; }} }}
}}
"""


class Nginx:
    """An nginx that serves the folder ``files`` at ``url`` and accepts PUT into it, until the block ends."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.files = home / "files"
        self.files.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = CONFIG.format(home=home, port=self.port)
        if not Path("/usr/lib/nginx/modules/ngx_http_dav_module.so").exists():
            config = "\n".join(line for line in config.splitlines() if "load_module" not in line)
        (home / "nginx.conf").write_text(config)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(["nginx", "-c", str(self.home / "nginx.conf")], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError("nginx did not start.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
