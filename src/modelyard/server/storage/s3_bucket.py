"""A bucket as it is named in the settings, and the connections to it."""

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

from modelyard.server.storage.s3_errors import NO_CREDENTIALS, Refusal, s3_errors, store_errors
from modelyard.server.storage.s3_gate import Gate
from modelyard.server.storage.s3_signing import S3Signer

MOST_CONNECTIONS = 48


@dataclass(frozen=True)
class Bucket:
    """Where the bytes are. Without an endpoint it is AWS; without keys, the usual AWS places are asked for some."""

    name: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = True
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)

    def name_of(self, key: str) -> str:
        """The object's name in the bucket."""
        return f"{self.prefix}/{key}" if self.prefix else key

    def key_of(self, name: str) -> str:
        return name.removeprefix(f"{self.prefix}/") if self.prefix else name


@dataclass(frozen=True)
class Limits:
    """How long to wait for a bucket: to connect, for its next bytes, and for work that it does inside."""

    connect_seconds: float = 3.0
    read_seconds: float = 15.0
    copy_seconds: float = 300.0
    attempts: int = 2


class Connections:
    """What speaks to one bucket. Nothing is sent, and no credentials are looked for, before the first use."""

    def __init__(self, bucket: Bucket, limits: Limits) -> None:
        self.bucket = bucket
        self.limits = limits
        self.gate = Gate()
        self._making = threading.Lock()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around every request for control: what goes wrong is a ``Refusal`` or ``StoreUnavailable``."""
        with self.gate.entered(), s3_errors():
            yield

    @cached_property
    def client(self) -> Any:
        """Botocore's client, for everything that is not signed for others; threads may share it."""
        return self._made_client(self.bucket.endpoint, self.limits.read_seconds, self.limits.attempts)

    @cached_property
    def patient_client(self) -> Any:
        """For copies inside the store, which may say nothing until they are done; nothing is tried twice."""
        return self._made_client(self.bucket.endpoint, self.limits.copy_seconds)

    @cached_property
    def http(self) -> URLLib3Session:
        """For requests that are signed here, by the same proxies and certificates as the client's."""
        return URLLib3Session(
            verify=self._session.get_config_variable("ca_bundle") or True,
            proxies=get_environ_proxies(self.client.meta.endpoint_url),
            timeout=(self.limits.connect_seconds, self.limits.read_seconds),
            max_pool_connections=MOST_CONNECTIONS,
        )

    def sent(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """The status and body of the answer to a signed request, sent with these headers exactly."""
        answer = self.http.send(AWSPreparedRequest(method, url, HeadersDict(headers), body, stream_output=False))
        return answer.status_code, answer.content

    @cached_property
    def signer(self) -> S3Signer:
        """Signs what this process itself sends."""
        return self._made_signer(self.bucket.endpoint)

    @cached_property
    def public_signer(self) -> S3Signer:
        """Signs what clients send, by the endpoint that they see."""
        if self.bucket.public_endpoint in {None, self.bucket.endpoint}:
            return self.signer
        return self._made_signer(self.bucket.public_endpoint)

    @cached_property
    def _session(self) -> Session:
        session = Session()
        if self.bucket.access_key is not None:
            session.set_credentials(self.bucket.access_key, self.bucket.secret_key)
        return session

    def _made_client(self, endpoint: str | None, read_seconds: float, attempts: int = 1, **changed: Any) -> Any:
        config = Config(
            **{"signature_version": "s3v4"} | changed,
            s3={"addressing_style": "path" if self.bucket.path_style else "virtual"},
            connect_timeout=self.limits.connect_seconds,
            read_timeout=read_seconds,
            retries={"total_max_attempts": attempts, "mode": "standard"},
            max_pool_connections=MOST_CONNECTIONS,
            # Stores other than AWS refuse or ignore the checksums that botocore would add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # A session, other than its clients, is for one thread at a time.
        with self._making:
            session, region = self._session, self.bucket.region
            client = session.create_client("s3", region_name=region, endpoint_url=endpoint, config=config)
        client.meta.events.register_last("before-parameter-build.s3", _stay_in_region)
        return client

    def _made_signer(self, endpoint: str | None) -> S3Signer:
        """One that puts the bucket where botocore's own rules for endpoints put it."""
        unsigned = self._made_client(endpoint, self.limits.read_seconds, signature_version=UNSIGNED)
        sample: str = unsigned.generate_presigned_url("get_object", Params={"Bucket": self.bucket.name, "Key": "k"})
        return S3Signer(sample.removesuffix("/k"), self.bucket.region, self._credentials)

    def _credentials(self) -> Any:
        with store_errors():
            found = self._session.get_credentials()
            if found is None:
                raise Refusal(NO_CREDENTIALS, 403)
            return found.get_frozen_credentials()

    def check_bucket(self) -> None:
        """Make sure that what is missing is an object and not the bucket: a HEAD does not tell.

        Asked each time: bytes that somebody takes for lost are refused to everybody.

        Raises:
            StoreUnavailable: the bucket is missing.
        """
        try:
            with self.asking():
                self.client.head_bucket(Bucket=self.bucket.name)
        except Refusal as refusal:
            raise (Refusal("NoSuchBucket", 404) if refusal.status == 404 else refusal).as_error() from None


def _stay_in_region(context: dict[str, Any], **_: object) -> None:
    """Botocore would follow a bucket to its region, in which what was signed for clients is not good.

    A store that always sends elsewhere would send it round until Python gives up.
    """
    context.setdefault("s3_redirect", {})["redirected"] = True


def head(connections: Connections, name: str) -> dict[str, Any] | None:
    """What the bucket tells about an object, or None if there is none.

    Raises:
        StoreUnavailable
    """
    try:
        with connections.asking():
            found: dict[str, Any] = connections.client.head_object(Bucket=connections.bucket.name, Key=name)
    except Refusal as refusal:
        if refusal.status != 404:
            raise refusal.as_error() from None
        connections.check_bucket()
        return None
    return found


# Both write whole requests to the log when asked for details, signatures among them.
for name in ("botocore", "urllib3"):
    logging.getLogger(name).setLevel(logging.WARNING)
