"""What one check of ``modelyard agent doctor`` or ``modelyard agent selftest`` found, and one finding for one cause."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What one check found, and how to fix it; empty if nothing is to be done, or if ``sentence`` says it.

    ``explains`` names the causes that this finding is about, such as ``key``, or the reason that an agent reports for
    it. ``follows`` is the cause of this finding, if that may be another finding, or a sentence that ends with it;
    ``consequence`` is the sentence that it adds to that one.
    """

    level: Level
    subject: str
    sentence: str
    fix: str = ""
    explains: frozenset[str] = frozenset()
    follows: str | None = None
    consequence: str = ""

    def to_document(self) -> dict[str, str]:
        """Return what is shown of the finding, for JSON."""
        return {"level": self.level, "subject": self.subject, "sentence": self.sentence, "fix": self.fix}


def fold_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding for each cause: without those that follow from an earlier one, which gets their consequence.

    Pure. A finding that is not ``ok`` explains; one whose cause no earlier finding explains stays.
    """
    folded: list[Finding] = []
    for finding in findings:
        at = next((at for at, each in enumerate(folded) if _is_cause(each, finding)), None)
        if at is None:
            folded.append(finding)
        elif finding.consequence:
            folded[at] = replace(folded[at], sentence=f"{folded[at].sentence} {finding.consequence}")
    return folded


def _is_cause(earlier: Finding, finding: Finding) -> bool:
    """Return whether a finding follows from an earlier one that is not ``ok``."""
    return earlier.level != "ok" and finding.follows is not None and finding.follows.endswith(tuple(earlier.explains))
