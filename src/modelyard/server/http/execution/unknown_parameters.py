"""The refusal of query parameters that an operation does not have."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import chain

from fastapi import Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_flat_params

from modelyard.wire.problems import InvalidRequest

# Operations of the source API, whose clients may send parameters that the registry does not know: these are ignored, as
# unknown fields of bodies are. Its lists are not among them: a client that misspells the page would read without end.
SOURCE_OPERATIONS = frozenset(
    {
        *("log_in", "refresh_session", "get_me", "change_password"),
        *("start_pairing", "poll_pairing", "confirm_pairing", "revoke_device"),
        *("update_team", "delete_team", "transfer_team", "update_member", "remove_member", "create_invitation"),
        *("create_credential", "revoke_credential"),
        *("presign_upload", "start_multipart_upload", "create_model", "get_model"),
    }
)
# What other APIs call the parameters of lists.
_OTHER_NAMES = {"limit": "per_page", "page_size": "per_page", "search": "q", "query": "q", "order_by": "sort"}
# A request may have thousands; more than these are neither compared nor named.
_MOST_NAMED = 10
_MOST_CHARACTERS = 64
# The similarity from which a name counts as misspelt.
_CLOSE = 0.75


def build_parameter_check(dependant: Dependant) -> Dependant:
    """Build the dependency that refuses query parameters that neither an operation nor its dependencies have.

    The dependency raises ``InvalidRequest``, which names up to ten of them, each with the nearest that exists.
    """
    fields = get_flat_params(Dependant(query_params=_collect_query_fields(dependant)))
    known = tuple(dict.fromkeys(field.alias for field in fields))

    async def refuse_unknown(request: Request) -> None:
        """Refuse a request with an unknown query parameter."""
        unknown = [name[:_MOST_CHARACTERS] for name in request.query_params if name not in known][:_MOST_NAMED]
        if unknown:
            errors = [{"field": name, "message": _describe(name, known)} for name in unknown]
            raise InvalidRequest(" ".join(error["message"] for error in errors), errors=errors)

    return Dependant(call=refuse_unknown, request_param_name="request", path=dependant.path)


def _collect_query_fields(dependant: Dependant) -> list[ModelField]:
    """Return the query parameters of an operation, then those of its dependencies."""
    below = chain.from_iterable(map(_collect_query_fields, dependant.dependencies))
    return [*dependant.query_params, *below]


def _describe(name: str, known: Sequence[str]) -> str:
    """Return what is wrong with a parameter, and what exists in its place."""
    nearest = find_nearest(name, known)
    if nearest is not None:
        return f"There is no query parameter '{name}' here. Did you mean '{nearest}'?"
    listed = ", ".join(f"'{each}'" for each in known)
    return f"There is no query parameter '{name}' here. " + (f"There are {listed}." if known else "There are none.")


def find_nearest(name: str, known: Sequence[str]) -> str | None:
    """Return the known parameter that was probably meant; None if none is near.

    It differs in a letter or two, is what other APIs call so, or has the name as one of its words.
    """
    wanted = name.lower().replace("-", "_")
    other = [each for each in known if each == _OTHER_NAMES.get(wanted)]
    by_word = [each for each in known if wanted in each.split("_")]
    return next(iter([*get_close_matches(wanted, known, 1, _CLOSE), *other, *by_word]), None)
