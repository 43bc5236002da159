"""Problems of load and availability."""

from modelyard.wire.problems.base import Problem


class TooManyAttempts(Problem):
    """Too many failed attempts from this address or for this account. Fact: ``retry_after`` in seconds."""

    status, slug, title = 429, "too-many-attempts", "Too many attempts"


class TooManyUploads(Problem):
    """The team has too many unfinished uploads. Facts: ``open_uploads``, and ``retry_after`` in seconds."""

    status, slug, title = 429, "too-many-uploads", "Too many unfinished uploads"


class Unavailable(Problem):
    """A service that the registry needs is unavailable. Fact: ``retry_after`` in seconds."""

    status, slug, title = 503, "unavailable", "The registry cannot answer just now"


class VerificationQueueFull(Problem):
    """Too many files of a person or team wait for verification. Facts: ``waiting``, and ``retry_after`` in seconds."""

    status, slug, title = 503, "verification-queue-full", "Too many files wait to be verified"


class StorageFull(Problem):
    """The registry's disk is full. Data that was acknowledged before is safe."""

    status, slug, title = 507, "storage-full", "The registry's disk is full"
