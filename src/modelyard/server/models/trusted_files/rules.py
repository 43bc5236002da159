"""What applies to a team's pickle files: the team's policy, and the files that its admins have allowed."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.server.database.session import split_ids
from modelyard.server.inspection.pickles import ALLOWED, PickleRule
from modelyard.server.models.tables import FolderFileRow, ModelRow, ModelVersionRow
from modelyard.server.models.trusted_files.tables import TrustedFileRow
from modelyard.server.teams.operations import load_pickle_policy
from modelyard.server.uploads.tables import BlobRow
from modelyard.wire.teams import PicklePolicy


def is_allowed(metadata: Mapping[str, Any]) -> bool:
    """Return whether the metadata is that of a file that the scan has refused and an admin has allowed."""
    return bool(metadata.get("extra", {}).get("pickle_scan") == ALLOWED)


def find_trusted_file(session: Session, team_id: UUID, sha256: str) -> TrustedFileRow | None:
    """Return the team's trusted file with this hash, or None."""
    return session.get(TrustedFileRow, (team_id, sha256))


def get_pickle_rule(session: Session, blob: BlobRow) -> PickleRule:
    """Return what applies to a blob that is verified, if it is a pickle.

    Content that was accepted before stays so, whatever policy and trust are now.
    """
    if blob.verified_at is not None:
        of_blob = select(ModelVersionRow.facts).where(ModelVersionRow.blob_id == blob.id)
        in_folders = select(FolderFileRow.facts).where(FolderFileRow.blob_id == blob.id, FolderFileRow.kind == "pickle")
        known = [*session.scalars(of_blob), *(facts or {} for facts in session.scalars(in_folders))]
        return "allow" if any(map(is_allowed, known)) else "scan"
    policy = load_pickle_policy(session, blob.team_id)
    if policy == "trusted" and find_trusted_file(session, blob.team_id, blob.sha256) is not None:
        return "allow"
    return "convert" if policy == "convert" else "scan"


@dataclass(frozen=True)
class PickleTrust:
    """A team's policy for pickle files, and the hashes of those that are trusted under it."""

    policy: PicklePolicy
    hashes: Collection[str]


def load_pickle_trust(session: Session, team_id: UUID, hashes: Collection[str]) -> PickleTrust:
    """Load the policy of a team, and which of the files with these hashes are trusted."""
    policy, trusted = load_pickle_policy(session, team_id), set[str]()
    for part in split_ids(sorted(hashes)) if policy == "trusted" else ():
        of_team = TrustedFileRow.team_id == team_id, TrustedFileRow.sha256.in_(part)
        trusted.update(session.scalars(select(TrustedFileRow.sha256).where(*of_team)))
    return PickleTrust(policy, trusted)


def check_known_content(session: Session, blob: BlobRow, metadata: Mapping[str, Any]) -> None:
    """Check that content which the team has verified before may be registered once more, if it is a pickle.

    Raises:
        NotAModelFile: the team keeps pickles only to convert them, or an admin had allowed the file and it is not
            trusted any more.
    """
    if metadata.get("format") == "pickle":
        check_known_pickle(session, load_pickle_trust(session, blob.team_id, [blob.sha256]), blob, metadata)


def check_known_pickle(session: Session, trust: PickleTrust, blob: BlobRow, metadata: Mapping[str, Any]) -> None:
    """Check that content which the team has verified before may be registered once more, if it is a pickle.

    Raises:
        NotAModelFile: see ``check_known_content``.
    """
    if metadata.get("format") != "pickle":
        return
    if trust.policy == "convert":
        raise build_refusal(
            "The team has this pickle file already, and keeps pickle files only to convert them: it is not registered "
            f"under another path. {_suggest_conversion(session, blob)}",
            "pickle file",
            setting="pickle_policy",
        )
    if is_allowed(metadata) and blob.sha256 not in trust.hashes:
        raise build_refusal(
            "The pickle scan refused this file, and it is not trusted any more. Ask an admin of the team to allow it "
            f"again: modelyard trust sha256:{blob.sha256} --reason WHY",
            "untrusted pickle",
            setting="pickle_policy",
        )


def _suggest_conversion(session: Session, blob: BlobRow) -> str:
    """Return how to convert a pickle file that the team has, with the path of a model that shows it, if there is one.

    A conversion is of the version that the model's record shows.
    """
    shows = ModelRow.team_id == blob.team_id, ModelRow.blob_id == blob.id, ModelRow.deleted_at.is_(None)
    path = session.scalar(select(ModelRow.model_path).where(*shows).order_by(ModelRow.id).limit(1))
    if path is None:
        return "No model shows it now: look for it in the trash, and among earlier versions."
    return f"Convert the model that has it: {shlex.join(['modelyard', 'convert', path.removeprefix('models/')])}"
