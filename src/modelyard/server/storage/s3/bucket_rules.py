"""The CORS and lifecycle rules that a bucket needs.

Others may have added rules of their own: ours are identified by their ids, and other rules are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.server.storage.s3.connections import Bucket, Connections
from modelyard.server.storage.s3.errors import S3Error, translate_s3_errors

PAGE_RULE = "modelyard-page"
UPLOADS_RULE = "modelyard-unfinished-uploads"
_NOTHING_YET = frozenset({"NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration"})

Rule = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """All rules that the bucket should have: ours and those of others."""

    cors: list[Rule]
    lifecycle: list[Rule]


def build_cors_rule(origins: Sequence[str]) -> Rule:
    """Return the rule that lets pages of these origins read, and write by signed URLs, and see the ETags of parts."""
    return {
        "ID": PAGE_RULE,
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def build_lifecycle_rule(bucket: Bucket, days: int) -> Rule:
    """Return the rule that aborts uploads below our prefix ``days`` days after their start, even without a registry."""
    return {
        "ID": UPLOADS_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": bucket.get_object_name("")},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }


def create_bucket(connections: Connections) -> bool:
    """Create the bucket; return False if it exists already, also as a bucket of another account.

    Raises:
        S3Error, StoreUnavailable
    """
    bucket = connections.bucket
    request: dict[str, Any] = {"Bucket": bucket.name}
    # AWS needs the region in the body too, except for us-east-1; other services have one region.
    if bucket.endpoint is None and bucket.region != "us-east-1":
        request["CreateBucketConfiguration"] = {"LocationConstraint": bucket.region}
    try:
        with translate_s3_errors():
            connections.client.create_bucket(**request)
    except S3Error as refusal:
        if refusal.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise
        return False
    return True


def build_bucket_rules(connections: Connections, origins: Sequence[str], upload_days: int) -> Rules:
    """Load the bucket's rules, and return those that it should have; without origins, no CORS rule of ours.

    Raises:
        S3Error, StoreUnavailable
    """
    cors = _load_other_rules(connections, "get_bucket_cors", "CORSRules", PAGE_RULE)
    lifecycle = _load_other_rules(connections, "get_bucket_lifecycle_configuration", "Rules", UPLOADS_RULE)
    # An upload is kept some days after its last part; the rule counts from its start.
    return Rules(
        cors=[*cors, build_cors_rule(origins)] if origins else cors,
        lifecycle=[*lifecycle, build_lifecycle_rule(connections.bucket, upload_days + 1)],
    )


def put_page_rule(connections: Connections, rules: Rules) -> None:
    """Replace the bucket's CORS rules by ``rules.cors``.

    Raises:
        S3Error, StoreUnavailable
    """
    with translate_s3_errors():
        connections.client.put_bucket_cors(Bucket=connections.bucket.name, CORSConfiguration={"CORSRules": rules.cors})


def put_uploads_rule(connections: Connections, rules: Rules) -> None:
    """Replace the bucket's lifecycle rules by ``rules.lifecycle``, and check that it kept as many.

    Raises:
        S3Error, StoreUnavailable
    """
    with translate_s3_errors():
        connections.client.put_bucket_lifecycle_configuration(
            Bucket=connections.bucket.name, LifecycleConfiguration={"Rules": rules.lifecycle}
        )
    _check_saved(rules.lifecycle, _load_rules(connections, "get_bucket_lifecycle_configuration", "Rules"))


def _load_other_rules(connections: Connections, operation: str, field: str, ours: str) -> list[Rule]:
    """Return the bucket's rules of one kind without ours; raises as ``_load_rules``."""
    return [rule for rule in _load_rules(connections, operation, field) if rule.get("ID") != ours]


def _load_rules(connections: Connections, operation: str, field: str) -> list[Rule]:
    """Return the rules of one kind, CORS or lifecycle, that the bucket has; none if it has no such configuration.

    Raises:
        S3Error, StoreUnavailable
    """
    try:
        with translate_s3_errors():
            found = getattr(connections.client, operation)(Bucket=connections.bucket.name)
    except S3Error as refusal:
        if refusal.code not in _NOTHING_YET:
            raise
        return []
    return list(found.get(field, []))


def _check_saved(wanted: list[Rule], found: list[Rule]) -> None:
    """Check that as many rules were saved: some stores mistake the request for another one and answer with success.

    Raises:
        S3Error: fewer rules were found.
    """
    if len(found) < len(wanted):
        raise S3Error("NotKept", 200, "it accepted the rules and did not keep them")
