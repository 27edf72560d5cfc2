"""What a check is, what it finds, and how findings are summed up."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

SEVERITIES = ("error", "warning", "info")


@dataclass(frozen=True)
class Finding:
    """One thing found. `evidence` holds the offending lines; `where` is the file to look at, if not the config."""

    check: str
    severity: str
    title: str
    evidence: list[str]
    cause: str
    fix: str
    where: str


@dataclass(frozen=True)
class Check:
    """Everything about a check but the code that runs it, declared next to that code.

    `id` is stable. `meaning` says in a sentence what the check finds, `cause` why that is bad and
    `fix` what to do about it; both may hold {placeholders}, filled in for each finding. `bad` and `good`
    are example inputs for docs/checks.md. `fix_extracted`: the fix where this study extracted the rows, if it is another.
    """

    id: str
    severities: tuple[str, ...]
    meaning: str
    cause: str
    fix: str
    bad: str
    good: str
    fix_extracted: str = ""

    def found(
        self, severity: str, title: str, *, evidence: str | Sequence[str] = (), where: str = "", **values: str
    ) -> Finding:
        """A finding of this check. `values` fill the placeholders; `cause` and `fix` among them replace those texts.

        Raises AssertionError for a severity that the check does not declare.
        """
        assert severity in self.severities, f"{self.id} is not declared as {severity}"
        lines = [evidence] if isinstance(evidence, str) else list(evidence)
        cause, fix = (values.pop(key, None) or getattr(self, key).format(**values) for key in ("cause", "fix"))
        return Finding(self.id, severity, title, lines, cause, fix, where)


def for_extracted(findings: Iterable[Finding], checks: Iterable[Check]) -> list[Finding]:
    """Findings on rows that this study extracted, with the fixes for these; fixes made for one finding stay."""
    known = {check.id: check for check in checks if check.fix_extracted}
    return [
        replace(one, fix=known[one.check].fix_extracted)
        if one.check in known and one.fix == known[one.check].fix
        else one
        for one in findings
    ]


def report(findings: Iterable[Finding]) -> dict:
    """Findings as plain data, the worst first, and how many there are of each severity: findings.json."""
    return merge(asdict(item) for item in findings)


def merge(findings: Iterable[dict]) -> dict:
    """One report from the findings of several."""
    plain = sorted(findings, key=lambda item: SEVERITIES.index(item["severity"]))
    counts = {severity: sum(item["severity"] == severity for item in plain) for severity in SEVERITIES}
    return {"findings": plain, "summary": counts}
