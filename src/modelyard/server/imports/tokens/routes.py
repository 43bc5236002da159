"""``/source-tokens``: the tokens that a team sends to sources; their values are never returned."""

from typing import Annotated

from fastapi import Path

from modelyard.server.database.session import Db
from modelyard.server.http.api_route import ApiRouter
from modelyard.server.http.params import CurrentCipher
from modelyard.server.http.problems import answers
from modelyard.server.imports.tokens import operations
from modelyard.server.teams.context import ACCESS_PROBLEMS, TeamContext, require_permission
from modelyard.server.teams.permissions import Operation
from modelyard.wire import problems
from modelyard.wire.imports.tokens import EXAMPLE_HOST, NewSourceToken, SourceTokenList
from modelyard.wire.schemas import Done

router = ApiRouter("imports", prefix="/source-tokens")

Managing = Annotated[TeamContext, require_permission(Operation.SOURCE_TOKENS_MANAGE)]
Host = Annotated[
    str,
    Path(
        description="The exact host, with `:port` if that is not 443; the token is sent to no other.",
        examples=[EXAMPLE_HOST],
    ),
]


@router.get("", responses=answers(*ACCESS_PROBLEMS))
def list_source_tokens(team: Managing, database: Db, cipher: CurrentCipher) -> SourceTokenList:
    """List the hosts for which the team has a token; the tokens are never returned."""
    with database.reading() as session:
        return operations.list_source_tokens(session, team, cipher)


@router.put(
    "/{host}",
    responses=answers(
        *ACCESS_PROBLEMS, problems.InvalidRequest, problems.SecretsKeyMissing, problems.SourceTokenLimitReached
    ),
)
def set_source_token(host: Host, new: NewSourceToken, team: Managing, database: Db, cipher: CurrentCipher) -> Done:
    """Set the token that imports send to a host, in place of the one before."""
    with database.writing(team.team_id) as session:
        operations.set_source_token(session, team, cipher, host, new)
    return Done()


@router.delete("/{host}", status_code=204, responses=answers(*ACCESS_PROBLEMS, problems.SourceTokenNotFound))
def delete_source_token(host: Host, team: Managing, database: Db) -> None:
    """Delete the token for a host."""
    with database.writing(team.team_id) as session:
        operations.delete_source_token(session, team, host)
