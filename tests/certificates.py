"""Self-signed certificates for servers of the tests, made on the spot."""

import shutil
import subprocess
from pathlib import Path

import pytest


def make_certificate(folder: Path, name: str) -> Path:
    """Return a new file with a key and a certificate for a name, such as ``IP:127.0.0.1`` or ``DNS:models.example``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed here; continuous integration installs it")
    made, certificate = folder / "tls.pem", folder / "certificate"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(made)]
    names = ["-subj", "/CN=x", "-addext", f"subjectAltName={name}", "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *key, *names], check=True, capture_output=True)
    made.write_bytes(made.read_bytes() + certificate.read_bytes())
    return made
