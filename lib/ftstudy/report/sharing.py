"""A report without anybody's words: what people wrote, what they are called and where their files are is left out."""

import re
from collections import defaultdict
from collections.abc import Iterator
from html import unescape

from .. import repair
from ..audit import checks
from ..audit.parity.alignment import ASPECTS
from ..compare import intervals
from ..errors import StudyError
from ..extract.description import SCHEMAS
from ..proof import result as proven
from ..wording import FORMATS, MASKED

RUN = 6  # words in a row: this many from a source text would give it away
LEFT_OUT = "(left out)"
_WORD = re.compile(r"\w+")

# Texts allowed in the shared page. Anything else may be private: the name of a folder, a config or an app as much
# as a message.
KNOWN = {
    *("", "base", "tuned", "this run", "stock mlx-lm", "A", "B", "person"),
    *("better", "worse", "not distinguishable", "confirmed", "refuted", "partly", "not testable here"),
    *("train", "valid", "test", "heldout", "recorded", "inferred", "messages", "replies", "error", "warning", "info"),
    *("over-fitted", "under-fitted", "well fitted", "lora", "dora", "full"),
    *(intervals.REPLIES, intervals.SEEDS, "imessage", "whatsapp"),
    *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "reply", "end_of_turn"),
    *FORMATS,
    *ASPECTS,
    *ASPECTS.values(),
    *SCHEMAS.values(),
}
PARTS = {one.part for one in repair.REPAIRS}
SHOTS = re.compile(r"aligned, \d+ (similar )?examples")
DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?")
ROLES = re.compile(r"(system|user|assistant|tool)((→|,|\s)+(system|user|assistant|tool))*")
MODULE = re.compile(r"((self_attn|mlp|linear_attn)\.)?(q|k|v|o|gate|up|down)_proj")
STEP = re.compile(r"0\d_(extract|format_audit|train|compare)")
# Of a base model whose weights are public: a folder of one's own can be called anything.
PUBLIC = re.compile(
    r"(SmolLM|Qwen|Llama|Meta-Llama|Mistral|Ministral|gemma|Phi|OLMo|granite|Falcon)[-\d.v]*"
    r"(-?(\d+(\.\d+)?[MBmb]|E\d+B|A\d+B|Instruct|it|pt|Base|chat|mini|small|medium|\d+k|\d+bit|bf16|fp16|mlx|v\d+(\.\d+)?|\d{4}))*",
    re.IGNORECASE,
)
KEYED = ("variants", "same", "attribution", "attribution_every", "fusing")  # their keys are names too


def without_words(results: dict) -> dict:
    """A copy of a run's results in which every text is one that the study itself chose from a list: names get a
    stand-in, a finding gets what its check says of any data, all else is left out.

    `results`: the content of the run's JSON files by name, None for a missing one. The numbers stay.
    """
    names = _stand_ins(results)
    made = {name: _known(content, names) for name, content in results.items()}
    extraction, audited, comparison = (made[name] for name in ("extraction", "format_audit", "comparison"))
    if extraction:
        steps = [
            one | {"step": f"step {at}" if at else "messages in the source", "examples": []}
            for at, one in enumerate(extraction.get("funnel") or [])
        ]
        extraction |= {"notes": [], "funnel": steps, "kind": "messages", "masked": _masked(extraction.get("masked"))}
        if described := extraction.get("rows"):
            described |= {key: [] for key in ("systems", "speakers", "replies")}
    if audited:
        audited |= {"listing": [], "rendering": {}, "masked_rows": [], "staged": None, "held": [], "not_checked": []}
        audited["own_findings"] = _findings(results["format_audit"]["own_findings"])
    if results["findings"]:
        made["findings"]["findings"] = _findings(results["findings"]["findings"])
    if comparison:
        comparison |= {"samples": [{} for _ in comparison["samples"]], "preference_pairs": [], "claims": []}
        comparison["archaeology"] |= {"told": ""}
    for entry, of in zip(
        (made["training"] or {"configs": []})["configs"], (results["training"] or {}).get("configs", [])
    ):
        model = re.split(r"[/\\]", str(of["model"]))[-1]
        folder = re.split(r"[/\\]", str(of["data"]))[-1]
        entry |= {"model": model if PUBLIC.fullmatch(model) else LEFT_OUT, "data": names.get(folder, LEFT_OUT)}
        entry |= {"stopped": "stopped before its end" if of.get("stopped") else None}
        entry |= {"forced": [_check(one) for one in of.get("forced") or []]}
    if made["cost"]:
        made["cost"] = _cost(results["cost"], names)
    if made.get("proof"):
        made["proof"] = _proof(made["proof"], results["proof"])
    return made


def _proof(made: dict, of: dict) -> dict:
    """A proof in which faults have the names that repairs give them, and nothing says what exactly was changed."""
    known = {one.fault: one.id for one in repair.REPAIRS}
    ids, faults = {}, []
    for at, (one, whole) in enumerate(zip(made["faults"], of["faults"]), 1):
        is_ours = whole["fault"] in known
        ids[whole["id"]] = known[whole["fault"]] if is_ours else f"fault {at}"
        named = {"id": ids[whole["id"]], "fault": whole["fault"] if is_ours else f"fault {at}"}
        part = whole["part"] if whole["part"] in PARTS else LEFT_OUT
        faults.append(one | named | {"notes": [], "part": part})
    runs = [one["run_id"] for one in of.get("trainings", [])]
    made = made | {"faults": faults, "trainings": [{"run_id": str(runs.index(run))} for run in runs]}
    if not faults:
        return made | {"sentence": of["sentence"]}
    shares = of["shares"] and [one | {"fault": ids[whole["fault"]]} for one, whole in zip(made["shares"], of["shares"])]
    made |= {"shares": shares, "fixed_copy": "", "edited": of["edited"]}
    made |= {"prompt_not_measured": of["prompt_not_measured"] and "it could not be built."}
    return made | {"sentence": proven.sentence(made)}


def without_commands(diagnosed: dict) -> dict:
    """A diagnosis without its commands: they name files, and say nothing to somebody who has none of them."""
    causes = [one | {"apply": "", "prove": ""} for one in diagnosed["causes"]]
    advice = [one | {"command": ""} for one in diagnosed["advice"]]
    return diagnosed | {"causes": causes, "advice": advice, "again": ""}


def _stand_ins(results: dict) -> dict[str, str]:
    """What is shown instead of the names of models, configs, prompts and variants, each the same wherever it is."""
    extraction, audited, comparison = (results[name] or {} for name in ("extraction", "format_audit", "comparison"))
    entries = (results["training"] or {"configs": []})["configs"]
    models = comparison.get("models", [])
    apps = [comparison.get("app"), audited.get("inference"), audited.get("asked_for")]
    apps += [one["name"] for one in comparison.get("formats", [])]
    kinds = {
        "variant": [*extraction.get("variants", {})],
        "config": [comparison.get("trained"), *(one["config"] for one in models), *(one["name"] for one in entries)],
        "model": [one["name"] for one in models],
        "your app": apps,
    }
    found = {}
    for kind, names in kinds.items():
        new = [one for one in dict.fromkeys(names) if isinstance(one, str) and not _may_stay(one) and one not in found]
        found |= {one: kind if kind == "your app" and at == 1 else f"{kind} {at}" for at, one in enumerate(new, 1)}
    return found


def _may_stay(text: str) -> bool:
    parts = text.split(" + ")
    return all(part in KNOWN for part in parts) or any(one.fullmatch(text) for one in (SHOTS, DATE, ROLES, MODULE))


def _known(value, names: dict[str, str]):
    """A copy of a JSON value without texts that the study did not choose."""
    if isinstance(value, str):
        return value if _may_stay(value) else names.get(value, LEFT_OUT)
    if isinstance(value, list):
        return [_known(one, names) for one in value]
    if isinstance(value, dict):
        return {
            key: {_known(name, names): _known(one, names) for name, one in of.items()}
            if key in KEYED and isinstance(of, dict)
            else _known(of, names)
            for key, of in value.items()
        }
    return value


def _findings(found: list[dict]) -> list[dict]:
    """What each check finds, in the check's own words: a title, an evidence or a fix can quote the data."""
    known, made = _by_id(), []
    for at, one in enumerate(found, 1):
        if check := known.get(one["check"]):
            texts = {"check": check.id, "title": check.meaning.partition(". ")[0].removesuffix(".")}
            texts |= {"cause": check.cause, "fix": check.fix}
        else:  # of another version
            texts = {"check": f"check {at}", "title": LEFT_OUT, "cause": "", "fix": ""}
        filled = {key: _filled(text) for key, text in texts.items()}
        made.append(filled | {"severity": _known(one["severity"], {}), "evidence": [], "where": ""})
    return made


def _filled(text: str) -> str:
    """A check's text without what is filled in for each finding."""
    return text.format_map(defaultdict(lambda: "…"))


def _by_id() -> dict:
    return {check.id: check for check in checks()}


def _check(name: str) -> str:
    return name if name in _by_id() else LEFT_OUT


def _masked(counts: dict | None) -> dict:
    return {what: amount for what, amount in (counts or {}).items() if what in MASKED}


def _cost(cost: dict, names: dict[str, str]) -> dict:
    """Seconds and memory, without the machine's name."""
    made = {name: _known(spent, names) for name, spent in cost.items() if STEP.fullmatch(name)}
    for name, spent in cost.items():
        if name.startswith("training ") and name.removeprefix("training ") in names:
            made[f"training {names[name.removeprefix('training ')]}"] = _known(spent, names)
    arms = {}
    for name, spent in (cost.get("arms") or {}).items():
        does, _, arm = name.partition(" ")
        model, _, asked = arm.partition(", ")
        if does in ("scoring", "writing"):
            arms[f"{does} {_known(model, names)}, {_known(asked, names)}"] = _known(spent, names)
    return made | {"arms": arms}


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
                    f"The shared report was not written: it would quote “{' '.join(run)}” from your data. Please "
                    "report this as a bug in ftstudy, without that text."
                )


def _runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(RUN)))
