"""API schemas of what the pickle scan found in a file, and of files that admins have allowed."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from modelyard.wire.schemas import EXAMPLE_HASH, EXAMPLE_PAGE, EXAMPLE_TIME, PageMeta, Schema
from modelyard.wire.texts.rules import NAME_PATTERN, check_is_readable
from modelyard.wire.versions import Creator, Verification

ScanResult = Literal["clean", "refused", "allowed"]
TrustReason = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=1000, pattern=NAME_PATTERN),
    BeforeValidator(check_is_readable),
]


_EXAMPLE_FINDING = "This file names 'os.system', which files of tensors do not need."
_EXAMPLE_IMPORTS = [{"name": "os.system", "is_expected": False}]
_EXAMPLE_FINDINGS = {
    "pickle_scan": "refused",
    "finding": _EXAMPLE_FINDING,
    "import_list": _EXAMPLE_IMPORTS,
    "is_complete": True,
}


class PickleImport(Schema):
    """A name that a pickle file imports, and could call, when it is loaded without restrictions."""

    name: str = Field(description="Module and name.", examples=["os.system"])
    is_expected: bool = Field(description="Whether files that hold tensors only need it.", examples=[False])


class ScanFindings(Schema):
    """What the pickle scan found in a file."""

    pickle_scan: ScanResult | None = Field(
        description="`clean`: it holds tensors only. `refused`: it may run code. `allowed`: it was refused, and an "
        "admin has allowed it. Null if the file was not scanned, or is no pickle.",
        examples=["refused"],
    )
    finding: str | None = Field(
        description="Why the scan, or the verification, refused it; null if neither did.",
        examples=[_EXAMPLE_FINDING],
    )
    import_list: list[PickleImport] = Field(
        description="What it imports, of a file that the scan has refused: up to 100 names, unexpected ones first. "
        "A hostile file may hide names from this list.",
        examples=[_EXAMPLE_IMPORTS],
    )
    is_complete: bool = Field(
        default=False,
        description="False if the list leaves names out: the file has more, or has pickles that could not be read.",
        examples=[True],
    )


class TrustedFile(Schema):
    """A file that an admin has allowed though the pickle scan refused it."""

    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    reason: str = Field(description="Why it is allowed.", examples=["The face detector of the original authors."])
    created_by: Creator = Field(
        description="Who allowed it.", examples=[{"kind": "user", "id": None, "display_name": "Ada"}]
    )
    created_at: datetime = Field(description="When.", examples=[EXAMPLE_TIME])
    findings: ScanFindings = Field(description="What the scan had found then.", examples=[_EXAMPLE_FINDINGS])


class VersionFindings(ScanFindings):
    """What the pickle scan found in the file of a version, and whether an admin has allowed it."""

    file_hash: str = Field(description="`sha256:` and the hex digest.", examples=[EXAMPLE_HASH])
    verification: Verification = Field(description="The state of the version.", examples=["failed"])
    trusted: TrustedFile | None = Field(description="Set if an admin has allowed the file.", examples=[None])


class NewTrustedFile(Schema):
    """The reason for which a file is allowed."""

    reason: TrustReason = Field(
        description="1 to 1,000 characters; it is in the audit log.",
        examples=["The face detector of the original authors."],
    )


class TrustedFileList(Schema):
    """A page of trusted files."""

    trusted_file_list: list[TrustedFile] = Field(description="The files, newest first.", examples=[[]])
    page_meta: PageMeta = Field(description="Where this page stands.", examples=[EXAMPLE_PAGE])
