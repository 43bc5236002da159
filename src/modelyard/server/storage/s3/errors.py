"""The translation of botocore's errors into errors of the store; it happens here only.

An error that an operator has to fix (a wrong key, a missing bucket, a wrong clock) names its cause.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from modelyard.server.storage.blob_store import NoSuchKey, NoSuchUpload, StoreError, StoreUnavailable


class BucketAccessError(StoreError):
    """The bucket is missing or denies access, and an operator has to change a setting. Fact: ``code``."""


class S3Error(Exception):
    """A refusal by the bucket, or missing credentials: S3 code, status (mostly other than 2xx) and message."""

    def __init__(self, code: str, status: int, message: str = "") -> None:
        super().__init__(f"{code} ({status})")
        self.code = code
        self.status = status
        self.message = message

    @property
    def needs_operator(self) -> bool:
        """Return whether a retry cannot succeed before an operator changes a setting."""
        return 300 <= self.status < 500 and self.code not in BUSY and self.status != 429

    def to_store_error(self) -> StoreError:
        """Return ``NoSuchUpload``, ``NoSuchKey`` or else ``StoreUnavailable`` with a message for the operator."""
        if self.code == "NoSuchUpload":
            return NoSuchUpload("This key has no such open upload.")
        if self.code in {"NoSuchKey", "404", "NotFound"}:
            return NoSuchKey("No object has this key.")
        return StoreUnavailable(OPERATOR_MESSAGES.get(self.code) or self._sentence(), code=self.code)

    def _sentence(self) -> str:
        """Return the message for a code that has none in ``OPERATOR_MESSAGES``."""
        if self.code in BUSY or self.status in {429, 503}:
            return "The bucket is throttling requests. Try again in a moment."
        verb = "refused" if self.needs_operator else "failed"
        message = f": {self.message.rstrip('. ')}" if self.message not in {"", self.code} else ""
        return f"The bucket {verb} ({self.status} {self.code}){message}."


BUSY = frozenset({"SlowDown", "Throttling", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable"})

_ACCESS_DENIED = (
    "The bucket denies access to this registry. The access key may lack permissions: listing the bucket, and reading, "
    "writing and deleting objects, with s3:AbortMultipartUpload and s3:ListMultipartUploadParts."
)
_WRONG_SECRET = "The bucket does not accept the secret key. Check MODELYARD_STORAGE_SECRET_KEY."  # noqa: S105 - a sentence
_REGION = (
    "The bucket is in another region or at another endpoint. Check MODELYARD_STORAGE_REGION and "
    "MODELYARD_STORAGE_ENDPOINT."
)
_CLOCK = "This machine's clock and the bucket's differ by more than 15 minutes. Set the clock."
NO_CREDENTIALS = "NoCredentials"
OPERATOR_MESSAGES = {
    NO_CREDENTIALS: "There are no credentials for the bucket. Set MODELYARD_STORAGE_ACCESS_KEY and "
    "MODELYARD_STORAGE_SECRET_KEY.",
    "NoSuchBucket": "There is no such bucket. Create it, or correct MODELYARD_STORAGE_URL.",
    "InvalidAccessKeyId": "The bucket does not recognise the access key. Check MODELYARD_STORAGE_ACCESS_KEY.",
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "AccessDenied": _ACCESS_DENIED,
    "AllAccessDisabled": _ACCESS_DENIED,
    "401": _ACCESS_DENIED,
    "403": _ACCESS_DENIED,
    "400": "The bucket does not understand the request. The region or the credentials may be wrong.",
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "ExpiredToken": "The credentials for the bucket have expired. Renew them.",
    "InvalidToken": "The bucket does not accept the session token of the credentials. Renew them.",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "301": _REGION,
}


@contextmanager
def translate_s3_errors() -> Iterator[None]:
    """Translate errors of S3's client that the block raises.

    Raises:
        S3Error: the bucket refused a request, or there are no credentials.
        StoreUnavailable: the bucket did not answer.
    """
    try:
        yield
    except ClientError as error:
        raise parse_client_error(error) from None
    except NoCredentialsError:
        raise S3Error(NO_CREDENTIALS, 403) from None
    except (BotoCoreError, HTTPError, OSError) as error:
        raise build_unavailable(error) from error


@contextmanager
def translate_store_errors() -> Iterator[None]:
    """Translate errors like ``translate_s3_errors``, and every ``S3Error`` into its ``StoreError``.

    Raises:
        StoreError: the bucket refused a request, or did not answer; see ``S3Error.to_store_error``.
    """
    try:
        with translate_s3_errors():
            yield
    except S3Error as refusal:
        raise refusal.to_store_error() from None


def parse_client_error(error: ClientError) -> S3Error:
    """Return the ``S3Error`` that botocore's exception describes."""
    said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return S3Error(str(said.get("Code") or status), int(status), str(said.get("Message") or ""))


def parse_error_response(status: int, body: bytes) -> S3Error:
    """Return the ``S3Error`` of a signed request's response.

    Only its code is used: some bodies contain half a signature.
    """
    code = re.search(rb"<Code>(\w{1,64})</Code>", body)
    return S3Error(code[1].decode("ascii") if code else str(status), status)


def build_unavailable(error: BaseException) -> StoreUnavailable:
    """Return the error for a store that did not answer, or broke off."""
    # Some messages of botocore contain the whole URL, which may be signed; only the kind of error is used.
    cause = error.kwargs.get("error") if isinstance(error, HTTPClientError) else None
    kind = type(error if cause is None else cause).__name__
    return StoreUnavailable(f"The bucket does not answer ({kind}).", code=kind)
