"""What a bucket has to know beside its objects: whose pages may use it, and when an unfinished upload is thrown away.

Both are lists of rules that others may have added to: ours are told by their names, and the others stay as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelyard.server.storage.s3_bucket import Bucket, Connections
from modelyard.server.storage.s3_errors import Refusal, s3_errors

PAGE_RULE = "modelyard-page"
UPLOADS_RULE = "modelyard-unfinished-uploads"
_NOTHING_YET = frozenset({"NoSuchCORSConfiguration", "NoSuchLifecycleConfiguration"})

Rule = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """The rules that the bucket should have, ours and others'."""

    cors: list[Rule]
    lifecycle: list[Rule]


def page_rule(origins: Sequence[str]) -> Rule:
    """Pages of these origins may read, and write by signed URLs; they see the ETag that a part is named by."""
    return {
        "ID": PAGE_RULE,
        "AllowedOrigins": list(origins),
        "AllowedMethods": ["GET", "PUT", "HEAD"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def uploads_rule(bucket: Bucket, days: int) -> Rule:
    """Uploads below our prefix end some days after they began, also if no registry is left to end them."""
    return {
        "ID": UPLOADS_RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": bucket.name_of("")},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }


def create_bucket(connections: Connections) -> bool:
    """Make the bucket; False if it is there already.

    Raises:
        Refusal, StoreUnavailable
    """
    bucket = connections.bucket
    asked: dict[str, Any] = {"Bucket": bucket.name}
    # AWS wants the region said twice, but for the first one; other services know one region.
    if bucket.endpoint is None and bucket.region != "us-east-1":
        asked["CreateBucketConfiguration"] = {"LocationConstraint": bucket.region}
    try:
        with s3_errors():
            connections.client.create_bucket(**asked)
    except Refusal as refusal:
        if refusal.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
            raise
        return False
    return True


def rules_wanted(connections: Connections, origins: Sequence[str], upload_days: int) -> Rules:
    """What the bucket's rules have to become; without origins, no page needs one.

    Raises:
        Refusal, StoreUnavailable
    """
    cors = _others(connections, "get_bucket_cors", "CORSRules", PAGE_RULE)
    lifecycle = _others(connections, "get_bucket_lifecycle_configuration", "Rules", UPLOADS_RULE)
    # An upload lives some days after its last part; the rule counts from its first.
    return Rules(
        cors=[*cors, page_rule(origins)] if origins else cors,
        lifecycle=[*lifecycle, uploads_rule(connections.bucket, upload_days + 1)],
    )


def put_page_rule(connections: Connections, rules: Rules) -> None:
    """Let the pages in.

    Raises:
        Refusal, StoreUnavailable
    """
    with s3_errors():
        connections.client.put_bucket_cors(Bucket=connections.bucket.name, CORSConfiguration={"CORSRules": rules.cors})


def put_uploads_rule(connections: Connections, rules: Rules) -> None:
    """Have unfinished uploads thrown away.

    Raises:
        Refusal, StoreUnavailable
    """
    with s3_errors():
        connections.client.put_bucket_lifecycle_configuration(
            Bucket=connections.bucket.name, LifecycleConfiguration={"Rules": rules.lifecycle}
        )
    _check_there(rules.lifecycle, _rules(connections, "get_bucket_lifecycle_configuration", "Rules"))


def _others(connections: Connections, operation: str, field: str, ours: str) -> list[Rule]:
    return [rule for rule in _rules(connections, operation, field) if rule.get("ID") != ours]


def _rules(connections: Connections, operation: str, field: str) -> list[Rule]:
    try:
        with s3_errors():
            found = getattr(connections.client, operation)(Bucket=connections.bucket.name)
    except Refusal as refusal:
        if refusal.code not in _NOTHING_YET:
            raise
        return []
    return list(found.get(field, []))


def _check_there(wanted: list[Rule], found: list[Rule]) -> None:
    """Some stores take a rule for another request, answer well, and keep nothing.

    Raises:
        Refusal
    """
    if len(found) < len(wanted):
        raise Refusal("NotKept", 200, "it took the rules and did not keep them")
