"""Problems of invalid requests."""

from typing import Self

from modelyard.wire.problems.base import Problem


class MalformedJson(Problem):
    """The body is not valid JSON in UTF-8, has duplicate keys or NaN, nests too deep, or has far too many values."""

    status, slug, title = 400, "malformed-json", "The body is not valid JSON"


class MalformedRequest(Problem):
    """The HTTP request itself is invalid."""

    status, slug, title = 400, "malformed-request", "The request cannot be understood"


class CredentialIdMalformed(Problem):
    """The path has something other than a credential's id, for instance a raw key or its prefix."""

    status, slug, title = 400, "credential-id-malformed", "This is not a credential's id"


class RouteNotFound(Problem):
    """No route has this path."""

    status, slug, title = 404, "route-not-found", "There is no such route"


class MethodNotAllowed(Problem):
    """The path does not support this method."""

    status, slug, title = 405, "method-not-allowed", "This method is not allowed here"


class RequestStalled(Problem):
    """The body of a small request did not arrive within 30 seconds."""

    status, slug, title = 408, "request-stalled", "The request body did not arrive in time"


class RecordStale(Problem):
    """The record has changed since the version in ``If-Match``. Read it again."""

    status, slug, title = 412, "record-stale", "The record has changed"


class BodyTooLarge(Problem):
    """The JSON body exceeds 1 MiB, or 16 KiB on routes without sign-in; or a picture exceeds 10 MiB."""

    status, slug, title = 413, "body-too-large", "The body is too large"


class UnsupportedMediaType(Problem):
    """The body is not ``application/json``."""

    status, slug, title = 415, "unsupported-media-type", "Send application/json"


class InvalidRequest(Problem):
    """Some fields are invalid. ``errors`` lists all of them."""

    status, slug, title = 422, "invalid-request", "Some fields are not valid"

    @classmethod
    def for_field(cls, field: str, message: str) -> Self:
        """Build the problem for one invalid field; ``message`` is a sentence without the final period."""
        return cls(f"Not valid: '{field}'. {message}.", errors=[{"field": field, "message": message}])


class ConversionRefused(Problem):
    """The model cannot be converted to safetensors: the detail says why. Fact ``found``: what the file is."""

    status, slug, title = 422, "conversion-refused", "This model cannot be converted"


class ModelPathRefused(Problem):
    """The model path or type would be unsafe or ambiguous on some platform."""

    status, slug, title = 422, "model-path-refused", "This model path is refused"


class ModelTypeUnknown(Problem):
    """The model type is a near miss of a known one, and the team has no model of it. Fact: ``suggestion``."""

    status, slug, title = 422, "model-type-unknown", "This model type is probably a mistake"

    @classmethod
    def for_type(cls, model_type: str, suggestion: str) -> Self:
        """Build the problem for the type of a model, with the known one that is probably meant."""
        message = f"'{model_type}' is no folder that ComfyUI or a known node reads. Did you mean '{suggestion}'?"
        return cls(
            f"{message} Use it as the model type and as the first folder of the path.",
            suggestion=suggestion,
            errors=[{"field": "model_type", "message": message}],
        )


class NotAModelFile(Problem):
    """The content does not match its extension, or is unsafe. Fact: ``permitted_by``, a policy that takes pickles."""

    status, slug, title = 422, "not-a-model-file", "This is not a model file"


class PictureRefused(Problem):
    """The body is no picture that can be a preview: another format, damaged, too many pixels. Fact: ``field``."""

    status, slug, title = 422, "picture-refused", "This picture cannot be used"


class WorkflowRefused(Problem):
    """The body is no workflow of ComfyUI, and no file in which ComfyUI saved one, or it takes too much to read."""

    status, slug, title = 422, "workflow-refused", "This workflow cannot be read"


class HashMismatch(Problem):
    """The SHA-256 of the stored content differs from the declared one."""

    status, slug, title = 422, "hash-mismatch", "The hash does not match the file"


class SizeMismatch(Problem):
    """The size is not the presigned one, or not that of this hash. Facts: ``presigned``/``known``, ``registered``."""

    status, slug, title = 422, "size-mismatch", "The size does not match"


class PasswordRefused(Problem):
    """The current password is wrong."""

    status, slug, title = 422, "password-refused", "The current password is wrong"
