"""The formats of log records, and the set-up of logging."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

from modelyard.server.settings import Settings

# Keys, tokens and signatures, wherever a message or a library might print one.
SECRET = re.compile(
    r"\b((?:sk|dk|ak|in|rs|mr|pc)-)[A-Za-z0-9_-]{16,}|(eyJ)[A-Za-z0-9_.-]{16,}|((?<![A-Za-z_])[Ss]ignature=)[^&\s\"]+"
)
STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object with the extra fields as members; secrets are truncated."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in STANDARD_FIELDS}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """Formats a record as one line of text, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as the base class does, followed by the extra fields; secrets are truncated."""
        extra = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in STANDARD_FIELDS)
        return redact(f"{super().format(record)} {extra}".rstrip())


def redact(text: str) -> str:
    """Return the text with keys, tokens and signatures reduced to their prefix and ``…``."""
    return SECRET.sub(lambda match: f"{match[1] or match[2] or match[3]}…", text)


def start_logging(settings: Settings) -> None:
    """Write the records of all loggers to standard error, as the settings say; removes other handlers of the root."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonLines() if _is_json(settings) else TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    # Uvicorn's access log and its lines about start and stop would repeat ours; Alembic logs every migration step.
    logging.getLogger("uvicorn.access").disabled = True
    if settings.log_level != "debug":
        logging.getLogger("uvicorn.error").setLevel("WARNING")
    logging.getLogger("alembic").setLevel("WARNING")
    # It logs the whole address of each request; those of webhooks and of signed links are secrets.
    logging.getLogger("httpx2").setLevel("WARNING")


def _is_json(settings: Settings) -> bool:
    """Return whether records are JSON: as set, or else if no person reads them on a terminal."""
    return settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
