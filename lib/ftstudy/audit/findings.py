"""What a check returns, and how a list of findings is summed up."""

SEVERITIES = ("error", "warning", "info")


def finding(check: str, severity: str, title: str, *, evidence: list[str], cause: str, fix: str, where: str) -> dict:
    """One thing found. `check` is a stable id; `evidence` holds the offending lines."""
    assert severity in SEVERITIES, severity
    return {
        "check": check,
        "severity": severity,
        "title": title,
        "evidence": evidence,
        "cause": cause,
        "fix": fix,
        "where": where,
    }


def summary(findings: list[dict]) -> dict:
    """How many findings there are of each severity."""
    return {severity: sum(item["severity"] == severity for item in findings) for severity in SEVERITIES}


def report(findings: list[dict]) -> dict:
    """Findings, the worst first, and their summary: the shape of findings.json."""
    ordered = sorted(findings, key=lambda item: SEVERITIES.index(item["severity"]))
    return {"findings": ordered, "summary": summary(findings)}
