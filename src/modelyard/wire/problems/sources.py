"""Problems of imports, and of the sources that they come from."""

from modelyard.wire.problems.base import Problem


class LinkRefused(Problem):
    """The link is none that can be imported: no https address, an address inside a network, or a page without files."""

    status, slug, title = 422, "link-refused", "This link cannot be imported"


class SourceNotFound(Problem):
    """The source has no such model, version or file, or it was deleted, or it is private."""

    status, slug, title = 422, "source-not-found", "The source has no such model"


class SourceRestricted(Problem):
    """The source demands more. Facts: ``reason`` (``gated``, ``sign_in``, ``early_access``), ``host`` of a token."""

    status, slug, title = 422, "source-restricted", "The source restricts this model"


class SourceUnavailable(Problem):
    """The source does not answer, or limits how often it is asked. Fact: ``retry_after`` in seconds."""

    status, slug, title = 503, "source-unavailable", "The source cannot be reached"


class SourceChanged(Problem):
    """The source has another size or hash than the draft that was confirmed. Look the link up again."""

    status, slug, title = 422, "source-changed", "The source has other content now"


class SecretsKeyMissing(Problem):
    """The registry stores no secrets of this kind, since the operator has set no key that encrypts them."""

    status, slug, title = 409, "secrets-key-missing", "The registry has no key for secrets"


class SourceTokenNotFound(Problem):
    """The team has no token for this host."""

    status, slug, title = 404, "source-token-not-found", "There is no such token"


class SourceTokenLimitReached(Problem):
    """The team has as many tokens as it may have. Fact: ``limit``."""

    status, slug, title = 409, "source-token-limit-reached", "The team has too many tokens"


class ImportNotFound(Problem):
    """No import of this team has this id."""

    status, slug, title = 404, "import-not-found", "There is no such import"


class ImportFinished(Problem):
    """The import has another state than this needs. Fact: ``import_state``."""

    status, slug, title = 409, "import-finished", "The import has another state"


class ImportRunning(Problem):
    """An import of this link to this path runs. Facts: ``field``, ``import_id``, ``created_by``, ``other_fields``."""

    status, slug, title = 409, "import-running", "Another import of this link is running"
