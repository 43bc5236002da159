"""The list of a team's repositories: those that were imported, then those of its models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from modelyard.server.http.paging import MAX_PAGE_ROWS, build_cursor_error
from modelyard.server.hub.operations import Repository, build_model_repository, load_imported_repository
from modelyard.server.models.repositories.names import NAMESPACE
from modelyard.server.models.repositories.operations import CONTENT, SERVED, select_imported_files, select_imported_keys
from modelyard.server.models.repositories.tables import ImportedFileRow
from modelyard.server.models.tables import ModelRow, ModelVersionRow
from modelyard.server.teams.context import TeamContext
from modelyard.wire import problems
from modelyard.wire.search.values import MAX_SEARCH_LENGTH, MAX_SEARCH_VALUES

_IMPORTED, _MODELS = "imported", "models"
# What clients send besides `ListQuery`, and what changes nothing here: entries have no files and no cards.
_WITHOUT_EFFECT = frozenset({"sort", "direction", "full", "cardData", "config", "expand"})
# All of these are 0 for each repository, so any order is sorted by them.
_SORTS = ("downloads", "likes", "trendingScore")


class ListQuery(BaseModel):
    """Which repositories are listed: those of a namespace, with all words in their id; so many of them a page."""

    author: str = ""
    search: str = Field(default="", max_length=MAX_SEARCH_LENGTH)
    limit: int = Field(default=MAX_PAGE_ROWS, ge=1)
    cursor: str = ""


class _Found(NamedTuple):
    """A repository of a list, and the cursor of what follows it."""

    repository: Repository
    cursor: str


def check_filters(parameters: Mapping[str, str]) -> None:
    """Check that a list has what is asked for: a filter that is ignored would list too much.

    Raises:
        InvalidRequest: it has no such filter or order, or the search has too many words.
    """
    for name in parameters:
        if name not in ListQuery.model_fields and name not in _WITHOUT_EFFECT:
            raise problems.InvalidRequest.for_field(name, "The registry has only the filters 'author' and 'search'")
    if (sort := parameters.get("sort")) is not None and sort not in _SORTS:
        raise problems.InvalidRequest.for_field("sort", f"The registry sorts only by {', '.join(_SORTS)}")
    if len(parameters.get("search", "").split()) > MAX_SEARCH_VALUES:
        raise problems.InvalidRequest.for_field("search", f"A search has at most {MAX_SEARCH_VALUES} words")


def list_repositories(session: Session, team: TeamContext, query: ListQuery) -> tuple[Sequence[Repository], str | None]:
    """Return a page of the repositories of a team that can be downloaded, without the files of folders.

    The imported ones come first, by their id in lower case, then those of models, by their path. The second value is
    the cursor of the next page, None if no repository follows.

    Raises:
        InvalidRequest: the cursor is malformed.
    """
    kind, _, last = (query.cursor or f"{_IMPORTED}:").partition(":")
    if kind not in (_IMPORTED, _MODELS) or "\0" in last:
        raise build_cursor_error()
    limit = min(query.limit, MAX_PAGE_ROWS)
    # One more than requested shows whether another page follows. No id has a NUL, and PostgreSQL takes no such text.
    found = list[_Found]()
    if "\0" not in query.author + query.search:
        if kind == _IMPORTED:
            found += _list_imported(session, team, query, last, limit + 1)
        if len(found) <= limit:
            found += _list_models(session, team, query, last if kind == _MODELS else "", limit + 1 - len(found))
    page = found[:limit]
    return [each.repository for each in page], page[-1].cursor if len(found) > limit else None


def _list_imported(session: Session, team: TeamContext, query: ListQuery, last: str, limit: int) -> Iterator[_Found]:
    """Yield at most so many imported repositories with a key after ``last``.

    Those in the namespace of the team's models are left out, since they are not reachable under their id.
    """
    key = ImportedFileRow.repository_key
    conditions = [key > last, ~key.startswith(f"{NAMESPACE}/")]
    if query.author:
        conditions.append(key.startswith(f"{query.author.lower()}/", autoescape=True))
    conditions += [key.contains(word, autoescape=True) for word in query.search.lower().split()]
    for repository_key in session.scalars(select_imported_keys(team.team_id, *conditions).limit(limit)).all():
        repository = load_imported_repository(session, select_imported_files(team.team_id, repository_key))
        if repository is not None:
            yield _Found(repository, f"{_IMPORTED}:{repository_key}")


def _list_models(session: Session, team: TeamContext, query: ListQuery, last: str, limit: int) -> Iterator[_Found]:
    """Yield at most so many repositories of models with a path key after ``last``."""
    if query.author.lower() not in ("", NAMESPACE):
        return
    is_current = (ModelVersionRow.model_id == ModelRow.id) & (ModelVersionRow.number == ModelRow.current_version)
    models = (
        select(ModelRow, *CONTENT, ModelVersionRow.created_at)
        .join(ModelVersionRow, is_current)
        .where(
            ModelRow.team_id == team.team_id,
            ModelRow.path_key > last,
            ModelRow.deleted_at.is_(None),
            ModelRow.model_status == "active",
            *SERVED,
            *_build_word_conditions(query.search),
        )
    )
    for row in session.execute(models.order_by(ModelRow.path_key).limit(limit)):
        model: ModelRow = row[0]
        yield _Found(build_model_repository(model, row), f"{_MODELS}:{model.path_key}")


def _build_word_conditions(search: str) -> Iterator[ColumnElement[bool]]:
    """Yield for each word of a search the condition that a model's path has it; `__` may be a slash there, as in ids.

    The path is looked at as it is and as its key, which has other letters than ASCII in lower case on each database.
    """
    namespace = f"{NAMESPACE}/"
    for word in search.lower().split():
        if word not in namespace:
            in_path = word.removeprefix(namespace)
            yield or_(
                *(
                    column.contains(form, autoescape=True)
                    for column in (func.lower(ModelRow.model_path), ModelRow.path_key)
                    for form in {in_path, in_path.replace("__", "/")}
                )
            )
