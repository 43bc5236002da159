"""What a bucket's failures mean, in words: botocore's errors are translated here, once, and nowhere else.

A refusal that an operator has to mend (a wrong key, no such bucket, a clock that is off) names its cause.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from urllib3.exceptions import HTTPError

from modelyard.server.storage.blob_store import NoSuchKey, NoSuchUpload, StoreError, StoreUnavailable


class BucketRefused(StoreError):
    """The bucket is missing or does not let us in: somebody has to change a setting. Fact: ``code``."""


class Refusal(Exception):
    """A store's answer that is not 2xx: its S3 code, its status, and its own words."""

    def __init__(self, code: str, status: int, message: str = "") -> None:
        super().__init__(f"{code} ({status})")
        self.code = code
        self.status = status
        self.message = message

    @property
    def needs_a_hand(self) -> bool:
        """Whether trying again is no use before somebody changes a setting."""
        return 300 <= self.status < 500 and self.code not in BUSY and self.status != 429

    def as_error(self) -> StoreError:
        """What the refusal means where nothing else was expected."""
        if self.code == "NoSuchUpload":
            return NoSuchUpload("There is no such open upload of this key.")
        if self.code in {"NoSuchKey", "404", "NotFound"}:
            return NoSuchKey("There are no bytes under this key.")
        return StoreUnavailable(MENDABLE.get(self.code) or self._sentence(), code=self.code)

    def _sentence(self) -> str:
        if self.code in BUSY or self.status in {429, 503}:
            return "The bucket asks for fewer requests. Try again in a moment."
        verb = "refused" if self.needs_a_hand else "failed"
        message = f": {self.message.rstrip('. ')}" if self.message not in {"", self.code} else ""
        return f"The bucket {verb} ({self.status} {self.code}){message}."


BUSY = frozenset({"SlowDown", "Throttling", "RequestLimitExceeded", "TooManyRequests", "ServiceUnavailable"})

_NO_ENTRY = (
    "The bucket does not let this registry in. The access key may need rights on it: listing the bucket, and reading, "
    "writing and deleting objects, with s3:AbortMultipartUpload and s3:ListMultipartUploadParts."
)
_WRONG_SECRET = "The bucket does not accept the secret key. Check MODELYARD_STORAGE_SECRET_KEY."  # noqa: S105 - a sentence
_REGION = (
    "The bucket is in another region or at another endpoint. Check MODELYARD_STORAGE_REGION and "
    "MODELYARD_STORAGE_ENDPOINT."
)
_CLOCK = "This machine's clock and the bucket's differ by more than 15 minutes. Set the clock."
NO_CREDENTIALS = "NoCredentials"
MENDABLE = {
    NO_CREDENTIALS: "There are no credentials for the bucket. Set MODELYARD_STORAGE_ACCESS_KEY and "
    "MODELYARD_STORAGE_SECRET_KEY.",
    "NoSuchBucket": "There is no such bucket. Create it, or correct MODELYARD_STORAGE_URL.",
    "InvalidAccessKeyId": "The bucket does not know the access key. Check MODELYARD_STORAGE_ACCESS_KEY.",
    "SignatureDoesNotMatch": _WRONG_SECRET,
    "AccessDenied": _NO_ENTRY,
    "AllAccessDisabled": _NO_ENTRY,
    "401": _NO_ENTRY,
    "403": _NO_ENTRY,
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
def s3_errors() -> Iterator[None]:
    """What goes wrong inside is a ``Refusal``, if the store answered, or ``StoreUnavailable``, if it did not."""
    try:
        yield
    except ClientError as error:
        raise refusal_of(error) from None
    except NoCredentialsError:
        raise Refusal(NO_CREDENTIALS, 403) from None
    except (BotoCoreError, HTTPError, OSError) as error:
        raise unavailable(error) from error


@contextmanager
def store_errors() -> Iterator[None]:
    """Like ``s3_errors``, and every refusal is the error that it means by itself."""
    try:
        with s3_errors():
            yield
    except Refusal as refusal:
        raise refusal.as_error() from None


def refusal_of(error: ClientError) -> Refusal:
    said, status = error.response.get("Error", {}), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return Refusal(str(said.get("Code") or status), int(status), str(said.get("Message") or ""))


def refusal_in(status: int, body: bytes) -> Refusal:
    """What an answer to a signed request says, without what else it may hold: some hold half a signature."""
    code = re.search(rb"<Code>(\w{1,64})</Code>", body)
    return Refusal(code[1].decode("ascii") if code else str(status), status)


def unavailable(error: BaseException) -> StoreUnavailable:
    """A store that did not answer, or broke off."""
    # Some of botocore's own texts hold the whole URL, which may be a signed one; the kind of error says enough.
    cause = error.kwargs.get("error") if isinstance(error, HTTPClientError) else None
    kind = type(error if cause is None else cause).__name__
    return StoreUnavailable(f"The bucket does not answer ({kind}).", code=kind)
