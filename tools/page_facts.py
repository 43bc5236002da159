"""TypeScript modules for the page, generated from the code of the registry, so that each fact has one home.

Each function returns a whole module of ``web/src/generated/``, in the format that the page's formatter demands.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_args

from tools.typescript import build_array, build_module, build_number, build_record, build_string, build_union

_LIMITED_MODULES = (
    *("accounts", "agent_requests/loaders", "credentials", "model_details", "model_filter", "models", "schemas"),
    *("search/grammar", "search/values", "workflows"),
)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def build_model_types() -> str:
    """Return the models folders that are recognised by name."""
    from modelyard.wire.model_folders import (
        A1111_FOLDERS,
        CORE_FOLDERS,
        FOLDER_MODEL_TYPES,
        KEY_BY_FOLDER,
        NODE_FOLDERS,
    )

    return build_module(
        ["wire/model_folders.py"],
        ("The folders of models that ComfyUI itself knows.", build_array("MODEL_TYPES", CORE_FOLDERS)),
        (
            "The folders of well-known custom nodes.",
            build_array("NODE_FOLDERS", [folder.name for folder in NODE_FOLDERS]),
        ),
        (
            "The folders in which a model is a folder of files.",
            build_array("FOLDER_MODEL_TYPES", FOLDER_MODEL_TYPES),
        ),
        (
            "The models folder of ComfyUI that has the models of another folder.",
            build_record("KEY_BY_FOLDER", KEY_BY_FOLDER),
        ),
        (
            "The models folders of A1111 that ComfyUI names otherwise, in lower case.",
            build_record("A1111_FOLDERS", A1111_FOLDERS),
        ),
    )


def build_base_models() -> str:
    """Return the names of base models, in a module that lists of models do not load."""
    from modelyard.wire.base_models.names import BASE_MODELS

    return build_module(
        ["wire/base_models/names.py"],
        ("The known base models, in the order in which they are offered.", build_array("BASE_MODELS", BASE_MODELS)),
    )


def build_formats() -> str:
    """Return the extensions of model files."""
    from modelyard.wire.folders.names import DATA_EXTENSIONS, DATA_NAMES, JSON_EXTENSIONS, MAX_FILES
    from modelyard.wire.formats import EXTENSIONS, MAX_PICTURE_BYTES, PICKLE_EXTENSIONS, SAFETENSORS_EXTENSIONS

    return build_module(
        ["wire/folders/names.py", "wire/formats.py"],
        ("The extensions of model files, in lower case.", build_array("EXTENSIONS", EXTENSIONS)),
        ("Those of safetensors files.", build_array("SAFETENSORS_EXTENSIONS", SAFETENSORS_EXTENSIONS)),
        (
            "Those of pickle files, which can run code when they are loaded.",
            build_array("PICKLE_EXTENSIONS", PICKLE_EXTENSIONS),
        ),
        (
            "Those of the other files that a folder model may contain.",
            build_array("FOLDER_EXTENSIONS", (*JSON_EXTENSIONS, *DATA_EXTENSIONS)),
        ),
        ("Names without an extension that a folder model may contain.", build_array("FOLDER_NAMES", DATA_NAMES)),
        ("The largest number of files of a folder model.", build_number("MAX_FOLDER_FILES", MAX_FILES)),
        ("The largest picture that the registry accepts.", build_number("MAX_PICTURE_BYTES", MAX_PICTURE_BYTES)),
    )


def build_sidecars() -> str:
    """Return the names and limits of the files beside model files that are uploaded with them."""
    from modelyard.client.transfers.sidecars import (
        DETAILS_SUFFIXES,
        MAX_JSON_BYTES,
        MAX_JSON_DEPTH,
        NO_BASE_MODEL,
        PICTURE_SUFFIXES,
    )
    from modelyard.wire.model_details import MAX_SIDECAR_TEXT_LENGTH, MAX_SIDECAR_WORDS

    white_space = "".join(f"\\u{code:04x}" for code in range(0x10000) if chr(code).isspace())
    return build_module(
        ["client/transfers/sidecars.py", "wire/model_details.py"],
        (
            "What follows the stem of a model file in the names of its picture, the preferred one first.",
            build_array("PICTURE_SUFFIXES", PICTURE_SUFFIXES),
        ),
        (
            "What follows it in the names of files with details, the preferred one first.",
            build_array("DETAILS_SUFFIXES", DETAILS_SUFFIXES),
        ),
        ("The largest file with details that is read.", build_number("MAX_DETAILS_BYTES", MAX_JSON_BYTES)),
        ("How many levels of objects and lists it may have.", build_number("MAX_DETAILS_DEPTH", MAX_JSON_DEPTH)),
        ("Base models in lower case that say that it is not known.", build_array("NO_BASE_MODEL", NO_BASE_MODEL)),
        (
            "The longest text of details that is sent, in characters.",
            build_number("MAX_SIDECAR_TEXT_LENGTH", MAX_SIDECAR_TEXT_LENGTH),
        ),
        ("The largest number of trigger words that are sent.", build_number("MAX_SIDECAR_WORDS", MAX_SIDECAR_WORDS)),
        (
            "A regular expression of the white space that is removed from both ends of texts.",
            build_string("WHITE_SPACE_PATTERN", f"[{white_space}]"),
        ),
    )


def build_inspection() -> str:
    """Return the limits of the inspection of files that the page inspects before it sends them."""
    from modelyard.comfyui.model_files.safetensors import MAX_HEADER, REFERENCE_MAX_HEADER
    from modelyard.comfyui.model_files.unexpected_files import HEAD

    return build_module(
        ["comfyui/model_files/safetensors.py", "comfyui/model_files/unexpected_files.py"],
        ("The number of bytes at the start of a file that show its format.", build_number("HEAD_BYTES", HEAD)),
        (
            "The largest header of a safetensors file that the registry reads.",
            build_number("MAX_SAFETENSORS_HEADER_BYTES", MAX_HEADER),
        ),
        (
            "The largest header that the reference reader of safetensors reads.",
            build_number("REFERENCE_MAX_SAFETENSORS_HEADER_BYTES", REFERENCE_MAX_HEADER),
        ),
    )


def build_paths() -> str:
    """Return the names and limits of the rules of model paths."""
    from modelyard.wire.paths import (
        DEVICE_NAME_PATTERN,
        INVISIBLE_LETTERS,
        MAX_PATH_BYTES,
        MAX_SEGMENT_BYTES,
        MAX_SEGMENTS,
        NON_MODEL_FOLDERS,
        TYPE_ALIASES,
    )

    return build_module(
        ["wire/paths.py"],
        ("The canonical model type of each alias.", build_record("TYPE_ALIASES", TYPE_ALIASES)),
        (
            "Folders of ComfyUI without models, in lower case.",
            build_array("NON_MODEL_FOLDERS", sorted(NON_MODEL_FOLDERS)),
        ),
        ("The largest number of folders and file name together.", build_number("MAX_SEGMENTS", MAX_SEGMENTS)),
        ("The longest folder or file name.", build_number("MAX_SEGMENT_BYTES", MAX_SEGMENT_BYTES)),
        ("The longest path.", build_number("MAX_PATH_BYTES", MAX_PATH_BYTES)),
        (
            "A regular expression of the names that Windows reserves for devices, in any letter case.",
            build_string("DEVICE_NAME_PATTERN", DEVICE_NAME_PATTERN),
        ),
        (
            "A regular expression of each letter that is rendered as nothing.",
            build_string("INVISIBLE_LETTER_PATTERN", f"[{ascii(INVISIBLE_LETTERS)[1:-1]}]"),
        ),
    )


def build_names() -> str:
    """Return the rule of names that people choose, as regular expressions."""
    from modelyard.wire.texts.rules import NAME_PATTERN_OF_CODE_POINTS, UNREADABLE

    pattern = re.sub("[\U00010000-\U0010ffff]", lambda found: f"\\u{{{ord(found[0]):x}}}", NAME_PATTERN_OF_CODE_POINTS)
    return build_module(
        ["wire/texts/rules.py"],
        ("A regular expression of the names that can be read.", build_string("NAME_PATTERN", pattern)),
        (
            "A regular expression of each character that no name may have.",
            build_string("UNREADABLE_PATTERN", f"[{UNREADABLE}]"),
        ),
    )


def build_permissions() -> str:
    """Return the roles, and the lowest role that may do each operation."""
    from modelyard.server.identity.authentication import KEY_CREATOR_ROLES
    from modelyard.server.teams.permissions import ALLOWED, EDIT_EVERY_ROLE
    from modelyard.wire.people.roles import Role
    from modelyard.wire.teams import AssignableRole

    required = {operation.value: rule.role for operation, rule in ALLOWED.items() if rule.role is not None}
    return build_module(
        ["server/identity/authentication.py", "server/teams/permissions.py", "wire/people/roles.py", "wire/teams.py"],
        ("The roles of team members, in ascending order of permissions.", build_array("ROLES", Role, is_const=True)),
        (
            "The roles that a member can be given; the role of the owner is transferred.",
            build_array("ASSIGNABLE_ROLES", get_args(AssignableRole), is_const=True),
        ),
        (
            "The lowest role of a user that may do each operation.",
            build_record("REQUIRED_ROLE", required, is_const=True),
        ),
        (
            "The lowest role that may edit the models of other people.",
            build_string("EDIT_EVERY_ROLE", EDIT_EVERY_ROLE),
        ),
        (
            "The roles whose users may be responsible for keys.",
            build_array("KEY_CREATOR_ROLES", KEY_CREATOR_ROLES, is_const=True),
        ),
    )


def build_states() -> str:
    """Return the values of states and kinds that the page lists, and the limits of lists of states."""
    from modelyard.wire.agents.values import MAX_STATES_IN_RESPONSE, MachineState, ModelState
    from modelyard.wire.credentials import Kind
    from modelyard.wire.model_details import CLAIMED_BASE_SOURCES
    from modelyard.wire.model_filter import Sort
    from modelyard.wire.models import ModelStatus
    from modelyard.wire.versions import Verification, VersionStatus

    return build_module(
        [
            *("wire/agents/values.py", "wire/credentials.py", "wire/model_details.py", "wire/model_filter.py"),
            *("wire/models.py", "wire/versions.py"),
        ],
        (
            "The states of machines as people mean them.",
            build_array("MACHINE_STATES", get_args(MachineState), is_const=True),
        ),
        (
            "The states of a model's replica on a machine.",
            build_array("REPLICA_STATES", get_args(ModelState), is_const=True),
        ),
        (
            "The largest number of replica states in one response.",
            build_number("MAX_STATES_IN_RESPONSE", MAX_STATES_IN_RESPONSE),
        ),
        ("Whether machines get a model.", build_array("MODEL_STATUSES", get_args(ModelStatus), is_const=True)),
        (
            "The states of the verification of a model's file.",
            build_array("VERIFICATIONS", get_args(Verification), is_const=True),
        ),
        ("The states of a version.", build_array("VERSION_STATUSES", get_args(VersionStatus), is_const=True)),
        ("The orders of a list of models.", build_array("MODEL_SORTS", get_args(Sort), is_const=True)),
        ("The kinds of keys.", build_array("CREDENTIAL_KINDS", get_args(Kind), is_const=True)),
        (
            "The sources of a base model that prove nothing: it may be wrong.",
            build_array("CLAIMED_BASE_SOURCES", CLAIMED_BASE_SOURCES),
        ),
    )


def build_field_limits() -> str:
    """Return the limits of the fields of requests, by which the page limits what can be typed."""
    from modelyard.wire.accounts import NewPassword
    from modelyard.wire.agent_requests.loaders import NodeName
    from modelyard.wire.credentials import PairingConfirmation
    from modelyard.wire.model_details import MAX_TRIGGER_WORDS, BaseModelName, TriggerText
    from modelyard.wire.model_filter import SearchText
    from modelyard.wire.models import LABEL_PATTERN, MAX_LABEL_LENGTH, Author, Labels, License, SourceUrl, Tag, Tags
    from modelyard.wire.schemas import LongName, ModelType, Name, Note
    from modelyard.wire.search.grammar import QUALIFIERS
    from modelyard.wire.search.values import MAX_SEARCH_VALUES
    from modelyard.wire.workflows import MAX_WORKFLOW_BYTES

    lengths = {
        "MAX_NAME_LENGTH": ("The longest name of a team, a key or a person.", Name),
        "MAX_LONG_NAME_LENGTH": ("The longest name of a model or a file.", LongName),
        "MAX_DESCRIPTION_LENGTH": ("The longest description of a model.", Note),
        "MAX_MODEL_TYPE_LENGTH": ("The longest model type.", ModelType),
        "MAX_NODE_NAME_LENGTH": ("The longest name of a node's class or input.", NodeName),
        "MAX_LICENSE_LENGTH": ("The longest license.", License),
        "MAX_AUTHOR_LENGTH": ("The longest name of an author.", Author),
        "MAX_SOURCE_URL_LENGTH": ("The longest URL of a source.", SourceUrl),
        "MAX_TAG_LENGTH": ("The longest tag.", Tag),
        "MAX_BASE_MODEL_LENGTH": ("The longest name of a base model.", BaseModelName),
        "MAX_TRIGGER_LENGTH": ("The longest trigger word.", TriggerText),
        "MAX_SEARCH_LENGTH": ("The longest text of a search.", SearchText),
        "MAX_PASSWORD_LENGTH": ("The longest new password.", NewPassword),
    }
    code = PairingConfirmation.model_json_schema()["properties"]["user_code"]
    return build_module(
        [f"wire/{name}.py" for name in _LIMITED_MODULES],
        *((comment, build_number(name, get_limit(kind, "maxLength"))) for name, (comment, kind) in lengths.items()),
        ("The largest number of words and values of a search.", build_number("MAX_SEARCH_VALUES", MAX_SEARCH_VALUES)),
        ("The qualifiers of a search.", build_array("SEARCH_QUALIFIERS", QUALIFIERS, is_const=True)),
        ("The shortest new password.", build_number("MIN_PASSWORD_LENGTH", get_limit(NewPassword, "minLength"))),
        ("The longest code of a pairing.", build_number("MAX_USER_CODE_LENGTH", code["maxLength"])),
        ("The largest number of a model's tags.", build_number("MAX_TAGS", get_limit(Tags, "maxItems"))),
        ("The largest number of a model's trigger words.", build_number("MAX_TRIGGER_WORDS", MAX_TRIGGER_WORDS)),
        ("The largest number of required labels.", build_number("MAX_LABELS", get_limit(Labels, "maxItems"))),
        ("The longest label.", build_number("MAX_LABEL_LENGTH", MAX_LABEL_LENGTH)),
        (
            "The largest workflow file that can be checked, in bytes.",
            build_number("MAX_WORKFLOW_BYTES", MAX_WORKFLOW_BYTES),
        ),
        ("A regular expression of labels.", build_string("LABEL_PATTERN", LABEL_PATTERN)),
    )


def get_limit(kind: Any, keyword: str) -> int:
    """Return a limit of a field's type, by its keyword of JSON Schema."""
    from pydantic import TypeAdapter

    limit: int = TypeAdapter(kind).json_schema()[keyword]
    return limit


def build_paging() -> str:
    """Return the limits of the pages and totals of lists, and of batches."""
    from modelyard.server.http.paging import MAX_COUNTED, MAX_PAGE_ROWS
    from modelyard.server.models.listing.pages import MAX_COUNTED_BY_INDEX, MAX_COUNTED_BY_READING
    from modelyard.wire.long_lists import MAX_BATCH_ITEMS

    return build_module(
        ["server/http/paging.py", "server/models/listing/pages.py", "wire/long_lists.py"],
        ("The largest number of items of a batch.", build_number("MAX_BATCH_ITEMS", MAX_BATCH_ITEMS)),
        ("The largest number of rows of a page.", build_number("MAX_PAGE_ROWS", MAX_PAGE_ROWS)),
        ("The number at which the total of a list stops.", build_number("MAX_COUNTED", MAX_COUNTED)),
        (
            "The number at which the total of models that match one filter stops.",
            build_number("MAX_COUNTED_BY_INDEX", MAX_COUNTED_BY_INDEX),
        ),
        (
            "The number at which the total of models that match a search or several filters stops.",
            build_number("MAX_COUNTED_BY_READING", MAX_COUNTED_BY_READING),
        ),
    )


def build_durations() -> str:
    """Return the durations that texts of the page name."""
    from modelyard.server.accounts.operations import RESET_LIFETIME
    from modelyard.server.agents.heartbeats.recording import IDLE_SECONDS
    from modelyard.server.invitations.operations import INVITATION_LIFETIME
    from modelyard.server.settings import Settings
    from modelyard.sync.apply.files.trash import TRASH_SECONDS
    from modelyard.wire.agents.values import UNHEALTHY_SECONDS

    trash_days: int = Settings.model_fields["trash_days"].default
    return build_module(
        [
            *("server/accounts/operations.py", "server/agents/heartbeats/recording.py"),
            *("server/invitations/operations.py", "server/settings.py"),
            *("sync/apply/files/trash.py", "wire/agents/values.py"),
        ],
        ("How long an invitation is valid.", build_number("INVITATION_DAYS", INVITATION_LIFETIME // DAY)),
        ("How long a link to reset a password is valid.", build_number("RESET_HOURS", RESET_LIFETIME // HOUR)),
        (
            "How long a deleted team or model can be restored, unless the operator has set another time.",
            build_number("DEFAULT_TRASH_DAYS", trash_days),
        ),
        (
            "How long a machine keeps a removed file.",
            build_number("MACHINE_TRASH_HOURS", timedelta(seconds=TRASH_SECONDS) // HOUR),
        ),
        (
            "The time between two heartbeats of an idle machine.",
            build_number("IDLE_HEARTBEAT_SECONDS", int(IDLE_SECONDS)),
        ),
        (
            "After how long without a heartbeat a machine is offline.",
            build_number("UNHEALTHY_SECONDS", UNHEALTHY_SECONDS),
        ),
    )


def build_problems() -> str:
    """Return the ``error_code`` of every problem as a type."""
    from modelyard.wire.problems import list_problem_classes

    codes = [kind.slug.replace("-", "_") for kind in list_problem_classes()]
    return build_module(
        ["wire/problems/"],
        ("The `error_code` of each problem of the registry.", build_union("ProblemCode", codes)),
    )


# By path below the repository.
MODULES: dict[str, Callable[[], str]] = {
    "web/src/generated/modelTypes.ts": build_model_types,
    "web/src/generated/baseModels.ts": build_base_models,
    "web/src/generated/formats.ts": build_formats,
    "web/src/generated/inspection.ts": build_inspection,
    "web/src/generated/durations.ts": build_durations,
    "web/src/generated/fieldLimits.ts": build_field_limits,
    "web/src/generated/names.ts": build_names,
    "web/src/generated/paging.ts": build_paging,
    "web/src/generated/paths.ts": build_paths,
    "web/src/generated/permissions.ts": build_permissions,
    "web/src/generated/problems.ts": build_problems,
    "web/src/generated/sidecars.ts": build_sidecars,
    "web/src/generated/states.ts": build_states,
}
