"""A bucket as named in the settings, and the HTTP connections to it."""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.config import Config
from botocore.httpsession import URLLib3Session
from botocore.session import Session
from botocore.utils import get_environ_proxies

from modelyard.server.fairness.accounts import Account
from modelyard.server.storage.s3.errors import NO_CREDENTIALS, S3Error, translate_s3_errors, translate_store_errors
from modelyard.server.storage.s3.request_places import build_request_places
from modelyard.server.storage.s3.signing import S3Signer

MAX_CONNECTIONS = 48


@dataclass(frozen=True)
class Bucket:
    """The location and credentials of a bucket.

    Without an endpoint it is on AWS; without keys, the usual AWS sources provide the credentials.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = True
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    def get_object_name(self, key: str) -> str:
        """Return the object's name in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def parse_key(self, name: str) -> str:
        """Return the key of an object's name; a name without our prefix is returned unchanged."""
        return name.removeprefix(f"{self.prefix}/") if self.prefix else name


@dataclass(frozen=True)
class Limits:
    """Timeouts of a bucket (to connect, to read, for a copy inside the store, for a quick stat) and attempts."""

    connect_seconds: float = 3.0
    read_seconds: float = 15.0
    copy_seconds: float = 300.0
    attempts: int = 2
    peek_seconds: float = 2.0


class Connections:
    """The connections to one bucket. Nothing is sent, and no credentials are looked up, before the first use."""

    def __init__(self, bucket: Bucket, limits: Limits) -> None:
        self.bucket = bucket
        self.limits = limits
        self.places = build_request_places()
        self._client_lock = threading.Lock()

    @contextmanager
    def limit_call(self) -> Iterator[None]:
        """Hold a place of the call limit for a control request.

        Raises:
            StoreUnavailable: no place became free, or the bucket does not answer.
            S3Error: the bucket refused the request.
        """
        with self.places.hold(Account()), translate_s3_errors():
            yield

    @cached_property
    def client(self) -> Any:
        """Return botocore's client, for everything that is not presigned; threads may share it."""
        return self._build_client(self.bucket.endpoint, self.limits.read_seconds, self.limits.attempts)

    @cached_property
    def slow_client(self) -> Any:
        """Return the client for copies inside the store, which may be silent until they are done; it never retries."""
        return self._build_client(self.bucket.endpoint, self.limits.copy_seconds)

    @cached_property
    def fast_client(self) -> Any:
        """Return the client for callers that proceed without a late answer; it never retries."""
        return self._build_client(
            self.bucket.endpoint, self.limits.peek_seconds, connect_timeout=min(1.0, self.limits.connect_seconds)
        )

    @cached_property
    def http(self) -> URLLib3Session:
        """Return the session for requests that are signed here, with the proxies and certificates of ``client``."""
        return URLLib3Session(
            verify=self._session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self.client.meta.endpoint_url),
            timeout=(self.limits.connect_seconds, self.limits.read_seconds),
            max_pool_connections=MAX_CONNECTIONS,
        )

    def send_signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send a signed request with these headers, unlimited; return status and body. Errors pass through."""
        answer = self.http.send(AWSPreparedRequest(method, url, HeadersDict(headers), body, stream_output=False))
        return answer.status_code, answer.content

    @cached_property
    def signer(self) -> S3Signer:
        """Return the signer of requests that this process sends."""
        return self._build_signer(self.bucket.endpoint)

    @cached_property
    def public_signer(self) -> S3Signer:
        """Return the signer of requests that clients send, with the endpoint that clients use."""
        if self.bucket.public_endpoint in {None, self.bucket.endpoint}:
            return self.signer
        return self._build_signer(self.bucket.public_endpoint)

    @cached_property
    def _session(self) -> Session:
        """Return botocore's session, with the keys from the settings if there are any."""
        session = Session()
        if self.bucket.access_key is not None:
            session.set_credentials(self.bucket.access_key, self.bucket.secret_key)
        return session

    def _build_client(self, endpoint: str | None, read_seconds: float, attempts: int = 1, **changed: Any) -> Any:
        """Build a client for an endpoint; ``attempts`` counts the first one, ``changed`` are options of ``Config``."""
        config = Config(
            **{"signature_version": "s3v4", "connect_timeout": self.limits.connect_seconds} | changed,
            s3={"addressing_style": "path" if self.bucket.path_style else "virtual"},
            read_timeout=read_seconds,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            max_pool_connections=MAX_CONNECTIONS,
            # Stores other than AWS refuse or ignore the checksums that botocore would add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A session, unlike its clients, is not thread-safe.
        with self._client_lock:
            session, region = self._session, self.bucket.region
            client = session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)
        client.meta.events.register_last("before-parameter-build.s3", _stay_in_region)
        return client

    def _build_signer(self, endpoint: str | None) -> S3Signer:
        """Return a signer that uses the same bucket URL as botocore's endpoint rules."""
        unsigned = self._build_client(endpoint, self.limits.read_seconds, signature_version=UNSIGNED)
        sample: str = unsigned.generate_presigned_url("get_object", Params={"Bucket": self.bucket.name, "Key": "k"})
        return S3Signer(sample.removesuffix("/k"), self.bucket.region, self._credentials)

    def _credentials(self) -> Any:
        """Return the current credentials of the session.

        Raises:
            StoreUnavailable: there are none, or they could not be renewed.
        """
        with translate_store_errors():
            found = self._session.get_credentials()
            if found is None:
                raise S3Error(NO_CREDENTIALS, 403)
            return found.get_frozen_credentials()

    def check_bucket(self, client: Any) -> None:
        """Check that the bucket exists, since a HEAD of an object does not tell a missing bucket from a missing object.

        The result is not cached: an object that is taken for missing is refused to all clients.

        Raises:
            StoreUnavailable: the bucket is missing, or does not answer.
        """
        try:
            with self.limit_call():
                client.head_bucket(Bucket=self.bucket.name)
        except S3Error as refusal:
            raise (S3Error("NoSuchBucket", 404) if refusal.status == 404 else refusal).to_store_error() from None


def _stay_in_region(context: dict[str, Any], **_: object) -> None:
    """Keep botocore from following a bucket to its region, where URLs that were signed for clients are invalid.

    A store that always redirects would also make it recurse until Python's limit.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def find_object_head(connections: Connections, name: str, client: Any = None) -> dict[str, Any] | None:
    """Return the HEAD of an object, or None if there is none; ``client`` defaults to the usual client.

    A missing object is looked up again after a check of the bucket, which may have been unavailable at first.

    Raises:
        StoreUnavailable
    """
    client = client or connections.client
    found = _find_head_once(connections, name, client)
    if found is None:
        connections.check_bucket(client)
        found = _find_head_once(connections, name, client)
    return found


def _find_head_once(connections: Connections, name: str, client: Any) -> dict[str, Any] | None:
    """Return the HEAD of an object; None if the object, or the bucket, is missing.

    Raises:
        StoreUnavailable
    """
    try:
        with connections.limit_call():
            found: dict[str, Any] = client.head_object(Bucket=connections.bucket.name, Key=name)
    except S3Error as refusal:
        if refusal.status != 404:
            raise refusal.to_store_error() from None
        return None
    return found


# At debug level both log whole requests, including signatures.
for name in ("botocore", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)
