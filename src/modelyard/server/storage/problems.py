"""The table of problems that clients get for errors of the store."""

from dataclasses import dataclass

from modelyard.server.storage import blob_store
from modelyard.wire import problems

_RETRY_SECONDS = 5
_UNAVAILABLE = problems.Unavailable("The store does not answer. Try again.", retry_after=2)


@dataclass(frozen=True)
class _Mapping:
    """The problems of one store error.

    ``for_url`` answers a signed URL of the local store and gets the error's own message and facts. ``for_api`` answers
    any other route that does not handle the error itself.
    """

    for_url: type[problems.Problem]
    for_api: problems.Problem = _UNAVAILABLE
    retry_after: int | None = None


_PROBLEMS: dict[type[Exception], _Mapping] = {
    blob_store.KeyTaken: _Mapping(problems.KeyTaken),
    blob_store.NoSuchUpload: _Mapping(problems.UploadNotFound, problems.UploadNotFound("There is no such upload.")),
    blob_store.NoSuchKey: _Mapping(
        problems.BlobNotFound,
        problems.Unavailable("The store has lost the bytes of this file. Ask the operator.", retry_after=60),
    ),
    blob_store.PartBusy: _Mapping(problems.PartBusy, retry_after=_RETRY_SECONDS),
    blob_store.ChecksumMismatch: _Mapping(problems.ChecksumWrong),
    blob_store.StoreFull: _Mapping(
        problems.StorageFull,
        problems.StorageFull("The registry's disk is full. Nothing of this request was kept."),
    ),
}
_DEFAULT = _Mapping(problems.Unavailable, retry_after=_RETRY_SECONDS)


def build_url_problem(error: blob_store.StoreError) -> problems.Problem:
    """Return the problem for a store error in a route of signed URLs, with the error's message and facts.

    Classes outside the table, including subclasses of those in it, become ``Unavailable`` (503). Errors that may pass
    also get the fact ``retry_after``.
    """
    mapping = _PROBLEMS.get(type(error), _DEFAULT)
    facts = dict(error.facts)
    if mapping.retry_after is not None:
        facts["retry_after"] = mapping.retry_after
    return mapping.for_url(error.detail, **facts)


def get_api_problem(error: Exception) -> problems.Problem:
    """Return the problem for a store error that a route of the API did not handle; its message is not repeated.

    Classes outside the table, including subclasses of those in it, become ``Unavailable`` (503).
    """
    return _PROBLEMS.get(type(error), _DEFAULT).for_api
