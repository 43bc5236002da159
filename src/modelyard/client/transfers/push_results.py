"""What a push reports while it runs, and its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelyard.transfer.progress import ProgressEvent
from modelyard.wire.models import IgnoredField, Model
from modelyard.wire.versions import VersionStatus

PushOutcome = Literal["registered", "new version", "already there"]


@dataclass(frozen=True)
class AwaitingVerification:
    """A file is uploaded and registered, and the registry is reading it before anyone may download it."""

    path: Path


PushEvent = ProgressEvent | AwaitingVerification


@dataclass(frozen=True)
class SentPicture:
    """The picture beside a pushed file, which is its version's preview now; or, with an ``error``, is not."""

    file: Path
    error: str | None = None


@dataclass(frozen=True)
class PushSucceeded:
    """A file that is a version of a model of the team now, or was one already; with the picture that was sent."""

    file: Path
    outcome: PushOutcome
    model: Model
    version: int
    version_status: VersionStatus
    size: int
    picture: SentPicture | None = None
    sidecar: Path | None = None  # whose base model and trigger words were sent
    ignored: Sequence[IgnoredField] = ()  # what the model kept although the registration had another value
    sent_bytes: int = 0  # in this run; 0 if the registry had the content
    same_version: int | None = None  # an earlier version with the content of this new one


@dataclass(frozen=True)
class PushFailed:
    """A file that is not a model of the team, and why."""

    file: Path
    error: Exception


PushResult = PushSucceeded | PushFailed
