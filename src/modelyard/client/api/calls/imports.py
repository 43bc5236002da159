"""The calls of a registry about imports."""

from collections.abc import Sequence
from uuid import UUID

from modelyard.client.api.calls.channel import ChannelCalls, unpack_result
from modelyard.client.api.http import Call
from modelyard.client.api.paging import Paging
from modelyard.client.api.urls import build_path
from modelyard.wire import batches, problems
from modelyard.wire.imports.drafts import ImportDraft, ImportLink
from modelyard.wire.imports.jobs import ImportList, ModelImport, NewImport
from modelyard.wire.imports.source_checks import SourceCheckRun, SourceChecks
from modelyard.wire.imports.tokens import NewSourceToken, SourceTokenList
from modelyard.wire.models import SourceCheck
from modelyard.wire.pickles.conversions import Conversion
from modelyard.wire.schemas import Created, Done

_START = Paging()


class ImportCalls(ChannelCalls):
    """The methods of ``RegistryApi`` about imports; they raise the same."""

    async def resolve_link(self, link: ImportLink) -> ImportDraft:
        """Return what an import of a link would register."""
        return await self._post(ImportDraft, "/imports/resolve", link, repeatable=True)

    async def start_import(self, new: NewImport) -> Created:
        """Start an import; a request that is repeated while it runs returns the same id."""
        return await self._post(Created, "/imports", new, repeatable=True)

    async def start_imports(self, new: Sequence[NewImport]) -> list[Created | problems.Problem]:
        """Start up to 100 imports; return the id or problem of each, in their order."""
        batch = batches.ImportBatch(import_list=list(new))
        answer = await self._post(batches.ImportResults, "/imports/start-batch", batch, repeatable=True)
        return [unpack_result(result) for result in answer.result_list]

    async def list_imports(self, paging: Paging = _START) -> ImportList:
        return await self._get(ImportList, "/imports", paging.build_query())

    async def get_import(self, import_id: UUID) -> ModelImport:
        return await self._get(ModelImport, build_path("imports", import_id))

    async def cancel_import(self, import_id: UUID) -> Done:
        return await self._post(Done, build_path("imports", import_id, "cancel"), repeatable=True)

    async def convert_model(self, model_id: UUID) -> Conversion:
        """Convert a pickle file to safetensors; repeated, it returns the same import, or the converted model."""
        return await self._post(Conversion, build_path("models", model_id, "convert"), repeatable=True)

    async def retry_import(self, import_id: UUID) -> Done:
        return await self._post(Done, build_path("imports", import_id, "retry"), repeatable=True)

    async def check_source(self, model_id: UUID) -> SourceCheck:
        """Ask the source of a model whether it has a newer version."""
        return await self._post(SourceCheck, build_path("models", model_id, "check-source"), repeatable=True)

    async def start_source_checks(self) -> SourceCheckRun:
        """Ask the sources of all models for newer versions; return the check that runs already, if there is one."""
        return await self._post(SourceCheckRun, "/source-checks", repeatable=True)

    async def read_source_checks(self) -> SourceChecks:
        """Return how far the last check of all models is."""
        return await self._get(SourceChecks, "/source-checks")

    async def list_source_tokens(self) -> SourceTokenList:
        """Return the hosts for which the team has a token."""
        return await self._get(SourceTokenList, "/source-tokens")

    async def set_source_token(self, host: str, new: NewSourceToken) -> Done:
        """Set the token that imports send to a host."""
        return await self._channel.request(Done, Call("PUT", build_path("source-tokens", host), new, repeatable=True))

    async def delete_source_token(self, host: str) -> None:
        """Delete the token for a host."""
        await self._channel.send(Call("DELETE", build_path("source-tokens", host), repeatable=True))
