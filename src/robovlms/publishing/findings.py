"""What an examination finds."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One result of one check.

    Args:
        check: its short name.
        level: "ok", "note" (worth knowing) or "problem".
        message: in plain words, with what to do about it.
    """

    check: str
    level: Literal["ok", "note", "problem"]
    message: str


@dataclass(frozen=True)
class Examination:
    """All findings about one checkpoint."""

    checkpoint: str
    findings: tuple[Finding, ...]
    versions: dict[str, dict[str, str]]

    @property
    def problems(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == "problem"]

    def to_dict(self) -> dict[str, Any]:
        return {
            "checkpoint": self.checkpoint,
            "healthy": not self.problems,
            "problems": [asdict(finding) for finding in self.problems],
            "findings": [asdict(finding) for finding in self.findings],
            "versions": self.versions,
        }

    def summary(self) -> str:
        """Lines for people."""
        marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
        lines = [f"{marks[finding.level]}  {finding.check:10}  {finding.message}" for finding in self.findings]
        verdict = f"{len(self.problems)} problem(s) found" if self.problems else "no problem found"
        return "\n".join([*lines, f"{self.checkpoint}: {verdict}"])
