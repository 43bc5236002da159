"""Which file of this machine a push means, and as which user it is pushed."""

from collections.abc import Hashable, Sequence
from http import HTTPStatus
from pathlib import Path

from modelyard.agent.local_api.http import LocalProblem
from modelyard.agent.local_api.registry_problems import build_registry_problem
from modelyard.agent.local_api.shapes import FilePush
from modelyard.client.profile import Profile, ProfileFile, ProfileUnreadable
from modelyard.client.transfers.collect import Notes, PushRequest
from modelyard.comfyui.layout import Install
from modelyard.comfyui.model_locations import ModelLocation, NameInvalid, check_location
from modelyard.comfyui.quoting import quoted
from modelyard.transfer.errors import TransferFailed
from modelyard.transfer.source_file import SourceFile
from modelyard.wire.paths import ModelPathInvalid, get_canonical_type

DEVICE_PREFIX = "dk-"


def find_device_profile(profiles: ProfileFile, url: str) -> Profile:
    """Return the user's profile of a registry, if it has a device key. Blocking.

    Raises:
        LocalProblem: there is none; the detail says how to get one.
    """
    try:
        profile = profiles.find(url)
    except (ProfileUnreadable, OSError):
        profile = None
    if profile is None or not profile.token.startswith(DEVICE_PREFIX):
        raise build_not_logged_in_problem(url)
    return profile


def build_not_logged_in_problem(url: str) -> LocalProblem:
    """Build the problem of a machine on which no user has signed in to push."""
    text = (
        "Models are pushed as a person, and no user is signed in on this machine. Run this on the machine, as the user "
        f"of its agent: modelyard login {url} --device"
    )
    return LocalProblem(HTTPStatus.CONFLICT, "not-logged-in", "No user is signed in on this machine", text)


def build_push_request(push: FilePush, installs: Sequence[Install]) -> PushRequest:
    """Return the push of the file that ComfyUI loads for a folder and a name below it. Blocking.

    Raises:
        LocalProblem: no folder of this machine has the file, or its name cannot be that of a model.
    """
    kind, name = get_canonical_type(push.folder), push.path.replace("\\", "/")
    try:
        location = check_location(ModelLocation(kind, f"{kind}/{name}"), clean=False)
    except (NameInvalid, ModelPathInvalid) as refused:
        title = "The name cannot be that of a model"
        raise LocalProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "model-path-refused", title, str(refused)) from None
    file = _find_file(kind, name, installs)
    if file is None:
        text = f"No {quoted(push.folder)} folder of this machine's agent has {quoted(name)}."
        raise LocalProblem(HTTPStatus.NOT_FOUND, "file-not-found", "The file was not found", text)
    return PushRequest(file, location.model_type, location.model_path, None, Notes(), push.replace, push.note)


def build_push_key(request: PushRequest) -> Hashable:
    """Return what two requests for the same push have in common; other content of the file is another push. Blocking.

    Raises:
        LocalProblem: the file cannot be read.
    """
    try:
        with SourceFile(request.file) as file:
            return request.model_path, request.replace, file.identity
    except TransferFailed as failure:
        raise build_registry_problem(failure) from None


def _find_file(kind: str, name: str, installs: Sequence[Install]) -> Path | None:
    """Return the first file with this name in a root of this key, as ComfyUI searches; None if there is none.

    A key without a root, such as one of custom nodes, means the folder of its name below the models folder.
    """
    for install in installs:
        roots = [root.path for root in install.roots if root.key == kind]
        if not roots and install.models is not None:
            roots = [install.models / kind]
        for root in roots:
            if (root / name).is_file():
                return root / name
    return None
