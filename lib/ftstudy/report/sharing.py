"""A report without anybody's words: what people wrote, what they are called and where their files are is left out."""

import copy
import re
from collections.abc import Iterator
from html import unescape

from ..errors import StudyError

RUN = 6  # words in a row: so many of a source text in the page would give it away
LEFT_OUT = "(left out)"
_WORD = re.compile(r"\w+")


def without_words(results: dict) -> dict:
    """A copy of a run's results without texts of the data; `results`: the content of its JSON files by name."""
    results = copy.deepcopy(results)
    extraction, audited, comparison = (results[name] for name in ("extraction", "format_audit", "comparison"))
    if extraction:
        extraction |= {"notes": [], "owner": "", "source": extraction.get("source") and LEFT_OUT}
        extraction["funnel"] = [one | {"examples": []} for one in extraction.get("funnel") or []]
        if described := extraction.get("rows"):
            described |= {key: [] for key in ("systems", "speakers", "replies")} | {"data": LEFT_OUT}
    if audited:
        audited |= {"listing": [], "rendering": {}, "masked_rows": []}
        audited |= {key: [_unquoted(one) for one in audited.get(key, [])] for key in ("held", "not_checked")}
        audited["own_findings"] = [_finding(one) for one in audited["own_findings"]]
        if audited.get("staged"):
            audited["staged"] = None
        for side in audited["parity"].values():
            side["rows"] = [row | {"training": LEFT_OUT, "inference": LEFT_OUT} for row in side["rows"]]
            side["termination"] |= {"training": LEFT_OUT, "inference": LEFT_OUT}
        if audited.get("inference") not in (None, "aligned", "historical"):
            audited["inference"] = "your app"
    if results["findings"]:
        results["findings"]["findings"] = [_finding(one) for one in results["findings"]["findings"]]
    if comparison:
        comparison["samples"] = [{} for _ in comparison["samples"]]
        comparison |= {"preference_pairs": [], "claims": []}
        comparison["left_out"] = [one | {"why": LEFT_OUT} for one in comparison["left_out"]]
    for entry in (results["training"] or {"configs": []})["configs"]:
        entry |= {"data": LEFT_OUT, "adapter": LEFT_OUT, "config": LEFT_OUT}
        entry["model"] = str(entry["model"]).replace("\\", "/").split("/")[-1]
    return results


def _finding(one: dict) -> dict:
    """The check and its advice; a title can quote what it found."""
    return one | {"title": _unquoted(one["title"]), "evidence": [], "where": "", "cause": "", "fix": ""}


def without_words_of(diagnosed: dict) -> dict:
    """A copy of a diagnosis without what it quotes, and without commands, which name files."""
    causes = [
        one | {"what": _unquoted(one["what"]), "fix": _unquoted(one["fix"]), "evidence": [], "apply": "", "prove": ""}
        for one in diagnosed["causes"]
    ]
    steps = [one | {"sentence": _unquoted(one["sentence"])} for one in diagnosed["verdict"]["steps"]]
    verdict = diagnosed["verdict"] | {"sentence": _unquoted(diagnosed["verdict"]["sentence"]), "steps": steps}
    return diagnosed | {"verdict": verdict, "causes": causes, "again": ""}


def _unquoted(text: str) -> str:
    """Without what stands in quotation marks, and without paths."""
    text = re.sub(r"“[^”]*”|\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)", "“…”", text)
    return re.sub(r"(?<!\w)[\w.~-]*/[\w./~-]+", "…", text)


def texts_of(results: dict) -> list[str]:
    """All texts in a run's results that people or models wrote."""
    found = []
    if comparison := results["comparison"]:
        for one in comparison["samples"]:
            found += [one["context"], one["true"], *(reply["text"] for reply in one["replies"])]
        for one in comparison["preference_pairs"]:
            found += [one["context"], *one["texts"]]
    if audited := results["format_audit"]:
        found += [piece[0] for side in audited["rendering"].values() for text in side.values() for piece in text]
        found += [token["text"] for row in audited.get("masked_rows", []) for token in row["tokens"]]
    if extraction := results["extraction"]:
        found += [text for one in extraction.get("funnel") or [] for text in one.get("examples", [])]
        described = extraction.get("rows") or {}
        found += [text for key in ("systems", "replies") for text, _ in described.get(key, [])]
    return found


def check(page: str, texts: list[str]) -> None:
    """StudyError if the page has RUN words in a row of one of the texts."""
    words = _WORD.findall(unescape(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)).lower())
    there = set(_runs(words))
    for text in texts:
        for run in _runs(_WORD.findall(text.lower())):
            if run in there:
                raise StudyError(
                    f"The report to share was not written: “{' '.join(run)}” of your data would be in it. Please report "
                    "this as a bug of ftstudy, without that text."
                )


def _runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(RUN)))
