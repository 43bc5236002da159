"""Problems of the embedded object store."""

from modelyard.wire.problems.base import Problem


class SignatureRefused(Problem):
    """The URL, the method or a signed header differs from what was signed."""

    status, slug, title = 403, "signature-refused", "The signature does not match"


class UrlExpired(Problem):
    """The presigned URL has expired. Request a new one."""

    status, slug, title = 403, "url-expired", "This URL has expired"


class LengthRequired(Problem):
    """The upload has no ``Content-Length`` header."""

    status, slug, title = 411, "length-required", "Content-Length is missing"


class LengthWrong(Problem):
    """The length of the body differs from the signed one. Nothing was stored."""

    status, slug, title = 400, "length-wrong", "The body has another length than signed"


class ChecksumWrong(Problem):
    """The SHA-256 of the body differs from the signed one. Nothing was stored."""

    status, slug, title = 400, "checksum-wrong", "The body has another checksum than signed"


class KeyTaken(Problem):
    """The storage key exists already. A key can be written only once."""

    status, slug, title = 412, "key-taken", "This key is written already"


class PartBusy(Problem):
    """Another request is writing this part at the moment."""

    status, slug, title = 409, "part-busy", "This part is being written"


class UploadStalled(Problem):
    """No byte of the body arrived for a minute. Nothing was stored."""

    status, slug, title = 408, "upload-stalled", "The upload stopped"


class BlobNotFound(Problem):
    """There is no object with this key."""

    status, slug, title = 404, "blob-not-found", "There are no such bytes"


class RangeNotSatisfiable(Problem):
    """The requested range lies outside the file."""

    status, slug, title = 416, "range-not-satisfiable", "The range lies outside the file"
