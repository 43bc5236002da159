"""What one run of an import works with."""

from dataclasses import dataclass

from modelyard.server.imports.import_leases import LeasedImport
from modelyard.server.imports.runs.progress import ProgressReporter
from modelyard.server.imports.sources.lookup import Sources
from modelyard.server.models.objects.checks import ObjectChecks
from modelyard.server.settings import Settings
from modelyard.server.teams.context import TeamContext
from modelyard.server.uploads import operations as uploads
from modelyard.server.uploads.tables import UploadRow
from modelyard.wire.imports.jobs import NewImport
from modelyard.wire.pickles.conversions import DerivedFrom


@dataclass(frozen=True)
class ImportRun:
    """One run of an import: on whose behalf, what was confirmed, and the sources with the tokens of the team."""

    objects: ObjectChecks
    settings: Settings
    leased: LeasedImport
    team: TeamContext
    new: NewImport
    sources: Sources
    reporter: ProgressReporter

    @property
    def converted_file(self) -> DerivedFrom | None:
        """The file that the import converts; None for the import of a link."""
        source = self.leased.row.derived_from
        return None if source is None else DerivedFrom.model_validate(source)

    def read_upload(self) -> UploadRow:
        """Return the import's upload, whose size changes while a file of unknown size is downloaded."""
        with self.objects.database.reading() as session:
            return uploads.get_upload(session, self.team.team_id, self.leased.row.storage_key)

    def read_size(self) -> int:
        """Return the size of the file: the confirmed one, or that of the upload."""
        return self.new.file_size or self.read_upload().file_size
