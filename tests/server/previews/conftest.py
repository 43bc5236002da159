"""Registries without jobs, in which a test runs the search for pictures itself, on both set-ups."""

from tests.server.verification.conftest import faulty, registry_without_jobs, setup, unverified

__all__ = ["faulty", "registry_without_jobs", "setup", "unverified"]
