"""Every statement of the original report, tested on this run's results.

A claim: `number`, `statement`, `test`, `measurement`, `verdict` (confirmed, refuted,
partly, or not testable here). Verdicts are computed: other data, another model or a
longer training may change them.
"""

from mlx_lm.tuner.datasets import ChatDataset

from . import chat_format, history
from .render import interval, number

CONFIRMED, REFUTED, PARTLY, UNTESTABLE = "confirmed", "refuted", "partly", "not testable here"


def claims(
    audited: dict, training: dict, comparison: dict, statistics: dict, examples: list[dict], tokenizer, owner: str
) -> list[dict]:
    """The table of claims.

    `audited`: the run's format_audit.json; `training`: one entry of training.json;
    `comparison`: arms, differences and generated replies; `statistics`: bytes and examples
    of the trained variant's splits; `examples`: some of its rows.
    """
    rows = [
        *_data_claims(audited.get("staged")),
        *_format_claims(audited["parity"], examples, tokenizer, owner),
        *_result_claims(training, comparison),
        *_other_claims(statistics, training),
    ]
    if audited["inference"] != "historical":
        why = f"this run measures the prompt of {audited['inference']}, not the original app's"
        rows = [
            _untestable(row["number"], row["statement"], why) if row["number"] in ABOUT_ITS_PROMPT else row
            for row in rows
        ]
    return sorted(rows, key=lambda row: row["number"])


ABOUT_ITS_PROMPT = (7, 8, 9, 12, 14, 16, 17)


def _claim(number: int, statement: str, test: str, measurement: str, verdict: str) -> dict:
    return {"number": number, "statement": statement, "test": test, "measurement": measurement, "verdict": verdict}


def _untestable(number: int, statement: str, why: str) -> dict:
    return _claim(number, statement, "–", why, UNTESTABLE)


def _data_claims(staged: dict | None) -> list[dict]:
    statements = {
        2: "All cataware configs pointed to an empty directory",
        3: "Training ran with no data",
        4: "Root cause: the generator lists a variant that does not exist",
    }
    if staged is None:
        return [_untestable(n, text, "this run does not stage the historical matrix") for n, text in statements.items()]
    empty = {
        when: [row["config"] for row in staged[when] if any(f["check"] == "data.empty" for f in row["findings"])]
        for when in ("before", "after")
    }
    cataware = [row["config"] for row in staged["before"] if "cataware" in row["config"]]
    aborts = "without an error" not in staged["trainer"]
    return [
        _claim(
            2,
            statements[2],
            "the historical matrix, generated again, against its folders",
            f"{len(set(empty['before']) & set(cataware))} of {len(cataware)} cataware configs name an empty folder",
            CONFIRMED if cataware and set(cataware) <= set(empty["before"]) else REFUTED,
        ),
        _claim(
            3,
            statements[3],
            "mlx-lm's own data loading on the empty folder",
            staged["trainer"],
            REFUTED if aborts else CONFIRMED,
        ),
        _claim(
            4,
            statements[4],
            "the matrix before and after the fix, generated from the two lists",
            f"configs with an empty folder: {len(empty['before'])} before, {len(empty['after'])} after",
            CONFIRMED if empty["before"] and not empty["after"] else REFUTED,
        ),
    ]


def _format_claims(parity: dict, examples: list[dict], tokenizer, owner: str) -> list[dict]:
    dataset = ChatDataset(examples, tokenizer)
    templated = sum(
        dataset.process(row)[0] == list(tokenizer.apply_chat_template(row["messages"], return_dict=False))
        for row in examples
    )
    printed = history.PRINTED_TRAINING_TEXT
    rendered = tokenizer.apply_chat_template(history.PRINTED_EXAMPLE["messages"], tokenize=False)
    same_text = rendered.rstrip("\n") == printed
    breaks = printed.count("\n<|im_end|>"), rendered.count("\n<|im_end|>")
    profile = chat_format.named_profiles(owner)["historical"]
    markers = [token for token in ("<|im_start|>", "<|im_end|>") if token in profile["template"]]
    by_template = [
        chat_format.prompt_ids({"messages": chat_format.messages_for(row, profile)}, tokenizer)
        == chat_format.prompt_ids(row, tokenizer, profile)
        for row in examples
    ]
    table = parity["inference"]
    regions = {row["region"]: row for row in table["rows"]}

    def differs(number_: int, statement: str, region: str) -> dict:
        row = regions.get(region)
        return _claim(
            number_,
            statement,
            "token ids of both prompts, over held-out examples",
            f"{row['prompts']} of {table['examples']} prompts, {row['tokens']} tokens each"
            if row
            else "no token differs",
            CONFIRMED if row else REFUTED,
        )

    end = table["termination"]
    return [
        _claim(
            5,
            "mlx_lm.lora converts messages with apply_chat_template",
            "its dataset code, replayed",
            f"{templated} of {len(examples)} rows are equal token for token",
            CONFIRMED if templated == len(examples) else REFUTED,
        ),
        _claim(
            6,
            "The training text looks as printed",
            "the report's example, rendered and compared character by character",
            "equal" if same_text else f"line breaks before <|im_end|>: {breaks[0]} printed, {breaks[1]} rendered",
            CONFIRMED if same_text else REFUTED,
        ),
        _claim(
            7,
            "The inference text is hard-coded ChatML",
            "the historical profile, transcribed from the report's listing",
            f"written into the string: {', '.join(markers) or 'no control token'}",
            CONFIRMED if markers else REFUTED,
        ),
        differs(8, "System prompts differ: different persona", "system"),
        differs(9, "User content differs: different structure", "user"),
        _claim(
            12,
            "The model sees different patterns than it was trained on",
            "token ids of both prompts",
            f"{table['examples'] - table['identical']} of {table['examples']} inference prompts differ; "
            f"{parity['aligned']['examples'] - parity['aligned']['identical']} aligned ones do",
            CONFIRMED if table["identical"] < table["examples"] else REFUTED,
        ),
        _claim(
            16,
            "apply_chat_template instead of the hard-coded string changes something",
            "the historical messages through the template, against the hard-coded string",
            f"{sum(by_template)} of {len(by_template)} prompts are equal token for token",
            REFUTED if all(by_template) else CONFIRMED,
        ),
        _claim(
            10,
            "Training ends with <|im_end|>, inference has no end token: different termination",
            "is the end of the turn in the loss",
            f"training ends with {end['training']!r}, "
            + ("which the model is trained to write itself" if end["trained"] else "which carries no loss"),
            REFUTED if end["trained"] else CONFIRMED,
        ),
    ]


def _result_claims(training: dict, comparison: dict) -> list[dict]:
    between = {(tuple(row["left"]), tuple(row["right"])): row for row in comparison["differences"]}
    gains = {name: between[("tuned", name), ("base", name)] for name in comparison["formats"]}
    told = "; ".join(
        f"{name}: {number(row['nats_per_reply_token'], signed=True)} {interval(row['interval'], signed=True)} nats, {row['verdict']}"
        for name, row in gains.items()
    )
    verdicts = {row["verdict"] for row in gains.values()}
    worse = CONFIRMED if verdicts == {"worse"} else PARTLY if "worse" in verdicts else REFUTED
    losses = [row["validation_loss"] for row in training["curve"] if "validation_loss" in row]
    learned = any(row["verdict"] != "not distinguishable" for row in gains.values())
    return [
        _claim(
            1,
            "Fine-tuning produced worse-than-baseline results",
            "tuned minus base on the same held-out replies",
            told,
            worse,
        ),
        _claim(
            11,
            "No actual training: the model never learned anything new",
            "validation loss, and likelihood of held-out replies",
            (f"validation loss {number(losses[0])} to {number(losses[-1])}; " if losses else "") + told,
            REFUTED if learned else CONFIRMED,
        ),
        _claim(
            13, "Adapter weights are noise, degrading the base", "tuned minus base, under both prompts", told, worse
        ),
        _alignment_claim(training, comparison["formats"], between),
    ]


def _alignment_claim(training: dict, formats: list[str], between: dict) -> dict:
    statement = f"{training['iterations']} iterations are enough to see whether formats align"
    if len(formats) < 2:
        return _untestable(17, statement, "the app asks in the format of training")
    gap = between[("tuned", formats[1]), ("tuned", formats[0])]
    return _claim(
        17,
        statement,
        "does the interval between the prompts hold zero, for the tuned model",
        f"{formats[1]} minus {formats[0]} {number(gap['nats_per_reply_token'], signed=True)} {interval(gap['interval'], signed=True)} nats",
        REFUTED if gap["verdict"] == "not distinguishable" else CONFIRMED,
    )


def _other_claims(statistics: dict, training: dict) -> list[dict]:
    printed = {name: size / examples for name, (size, examples) in history.PRINTED_STATISTICS.items()}
    here = {name: statistics[name]["bytes"] / statistics[name]["examples"] for name in printed if name in statistics}
    spread = {
        label: max(values.values()) / min(values.values()) - 1
        for label, values in (("report", printed), ("here", here))
    }
    return [
        _untestable(
            14,
            "Identical system prompts are needed",
            "needs the system text varied on its own; this run varies it together with the wrapper",
        ),
        _untestable(
            15,
            "Option B (plain inference) is better than option A (wrapped training)",
            "needs option A trained as well; this run trains option B",
        ),
        _claim(
            18,
            "5,807,622 bytes are about 10K examples; 730,799 and 755,852 about 1.5K",
            "bytes an example: equal between splits, or no further apart than real splits are here",
            f"report: {', '.join(number(v, 0) for v in printed.values())} bytes an example, {number(100 * spread['report'], 0)}% apart; "
            f"here: {', '.join(number(v, 0) for v in here.values())}, {number(100 * spread['here'], 0)}% apart",
            CONFIRMED if spread["report"] < 0.05 else PARTLY if spread["report"] <= spread["here"] else REFUTED,
        ),
        _untestable(
            19,
            "Larger models, or GaLore and PiSSA, come only after",
            f"needs several models and methods; this run trains {training['model']} with one",
        ),
    ]
