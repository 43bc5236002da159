"""Registries without jobs, in which a test runs the search for pictures itself."""

from tests.server.verification.conftest import faulty, registry_without_jobs, unverified

__all__ = ["faulty", "registry_without_jobs", "unverified"]
