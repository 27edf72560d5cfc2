"""The results of a made-up run, in their fixed shape, for tests of the report's page."""

import copy
import json
from pathlib import Path

LONG_WORD = "Donau" * 60  # 300 characters without a space
CONTEXT = (
    "Noor: are we still on for the lake on sunday morning\nSam: yes\nNoor: bring the blue towels please\nNoor: ok?"
)
SYSTEM = "You are Sam. Reply to text messages the way Sam texts."
NEEDED = [{"nats": 0.02, "conversations": 157, "replies": 252}]


def effect(nats, low, high, verdict, needed=None, **more):
    measured = {"nats_per_reply_token": nats, "interval": [low, high], "p": 0.01, "verdict": verdict, "needed": needed}
    return measured | {"family": {"name": "a family", "size": 3}} | more


def difference(left, right, nats, low, high, verdict):
    ends = {"nats": -6.8, "interval": [-7.5, -6.1], "p": 0.0, "verdict": "better", "family": None, "needed": None}
    return effect(nats, low, high, verdict, left=list(left), right=list(right), end_of_turn=ends)


def arm(model, name, nats, conversations=24):
    return {
        "model": model,
        "format": name,
        "faults": [],
        "replies": 40,
        "conversations": conversations,
        "reply_tokens": 700,
        "nats_per_reply_token": nats,
        "interval": [nats - 0.2, nats + 0.2],
        "bits_per_byte": nats / 3,
        "bits_interval": [nats / 3 - 0.1, nats / 3 + 0.1],
        "nats_per_end_of_turn": 2.0,
        "end_interval": [1.5, 2.5],
    }


def written(model, name, ends, looping, distance):
    change = {"distance": distance - 0.51, "interval": [-0.2, -0.1], "p": 0.0, "verdict": "better", "family": None}
    parts = dict.fromkeys(("length", "case", "punctuation", "abbreviations", "characters"), distance)
    return {
        "model": model,
        "format": name,
        "end_of_turn_rate": ends,
        "end_of_turn_interval": [max(ends - 0.1, 0), min(ends + 0.1, 1)],
        "words": 6.0,
        "true_words": 11.0,
        "length_ratio": 0.55,
        "looping": looping,
        "empty": 0.0,
        "copied": 0.0,
        "assistant": 0.0,
        "other_speaker": 0.0,
        "too_long": 0.0,
        "style_distance": {"total": distance, **parts},
        "to_floor": change,
        "to_aligned": None if name == "aligned" else change | {"verdict": "not distinguishable"},
    }


def reply(model, name, text, *marks):
    return {"model": model, "format": name, "text": text, "stopped": "cut" not in marks, "marks": list(marks)}


def sample(at, *marks):
    return {
        "context": CONTEXT,
        "true": f"yes of course see you at the lake number {at}",
        "replies": [
            reply("base", "aligned", "I am happy to help you plan a lake trip today with me.", "cut"),
            reply("tuned", "aligned", "ok ok ok ok ok ok ok ok ok" if "loops" in marks else "sure thing", *marks),
            reply("tuned", "historical", "sure"),
        ],
    }


def pair(at):
    texts = [f"I am happy to help you plan lake trip number {at}.", f"sure thing {at}"]
    return {"row": at, "context": CONTEXT, "arms": ["base, aligned", "tuned, aligned"], "texts": texts}


TITLES = {
    "parity.system_text": "The app's system text differs from training's in all 50 prompts",
    "data.repeated": "9 of 160 rows repeat others",
    "run.length": "100 iterations see the rows 1.25 times",
}


def finding(check="parity.system_text", severity="error"):
    return {
        "check": check,
        "severity": severity,
        "title": TITLES[check],
        "evidence": [f"training:  '{SYSTEM}'", "inference: 'You are Sam, a tech founder.'"],
        "cause": "The app has its own system text.",
        "fix": "Give the app the same messages as training (`ftstudy.chat_format`).",
        "where": "data/raw_style_variable/train.jsonl",
    }


def attributed():
    shares = [
        effect(0.02, 0.01, 0.03, "worse", fault="system"),
        effect(0.01, -0.01, 0.02, "not distinguishable", NEEDED, fault="user"),
    ]
    both = [effect(0.0, -0.01, 0.01, "not distinguishable", NEEDED, faults=["system", "user"])]
    whole = effect(0.03, 0.01, 0.05, "worse")
    return {"faults": ["system", "user"], "whole": whole, "main": shares, "interactions": both, "shares": shares}


def results() -> dict:
    """A new copy, by the names of the JSON files: tuned better than its base, some replies cut off, the app's prompt
    different, examples in the prompt as good."""
    return copy.deepcopy(
        {
            "extraction": {
                "source": "data/my chats/chat.db",
                "owner": "Sam",
                "kind": "imessage",
                "messages": 900,
                "pairs": 200,
                "funnel": [
                    {"step": "messages in the source", "unit": "messages", "removed": 0, "left": 900, "examples": []},
                    {
                        "step": "group chats",
                        "unit": "messages",
                        "removed": 300,
                        "left": 600,
                        "examples": ["who is bringing the big tent on saturday then"],
                    },
                    {"step": "replies", "unit": "replies", "removed": 400, "left": 200, "examples": []},
                ],
                "variants": {"raw_style_variable": {"train": {"bytes": 9000, "examples": 160}}},
                "notes": ["Noor: read as dmy."],
                "masked": {"phone": 2},
                "rows": {
                    "data": "data/raw_style_variable",
                    "splits": [
                        {
                            "split": name,
                            "bytes": 9000,
                            "rows": rows,
                            "schema": "messages",
                            "blank": 0,
                            "broken": 0,
                            "turns": 3,
                            "user": 120,
                            "reply": 40,
                        }
                        for name, rows in (("train", 160), ("valid", 20), ("test", 40))
                    ],
                    "lengths": [10, 20, 40, 80],
                    "turns": [3, 3, 3, 5],
                    "tools": 0,
                    "different": {"roles": 1, "systems": 1, "speakers": 2, "replies": 190},
                    "roles": [["system user assistant", 200]],
                    "systems": [[SYSTEM, 200]],
                    "speakers": [["Contact", 150]],
                    "replies": [["yeah that is fine by me then", 9]],
                },
            },
            "findings": {"findings": [finding()], "summary": {"error": 1, "warning": 0, "info": 0}},
            "format_audit": {
                "inference": "historical",
                "asked_for": "historical",
                "staged": None,
                "listing": ["train.jsonl  9,000 bytes"],
                "held": ["mlx-lm can load the base model models/SmolLM2."],
                "not_checked": ["test.jsonl: not in data/raw_style_variable."],
                "own_findings": [finding(), finding("data.repeated", "warning"), finding("run.length", "info")],
                "parity": {
                    "inference": {
                        "examples": 50,
                        "identical": 0,
                        "rows": [
                            {
                                "aspect": "System prompt",
                                "region": "system",
                                "training": SYSTEM,
                                "inference": "You are Sam, a tech founder.",
                                "prompts": 50,
                                "tokens": 21.0,
                            }
                        ],
                        "termination": {"training": "<|im_end|>\n", "inference": "assistant\n", "trained": True},
                    },
                    "aligned": {
                        "examples": 50,
                        "identical": 50,
                        "rows": [],
                        "termination": {"training": "<|im_end|>\n", "inference": "assistant\n", "trained": True},
                    },
                },
                "rendering": {
                    "inference": {
                        "training": [["<|im_start|>", False, True], ["system\n", False, False], [SYSTEM, True, False]],
                        "inference": [
                            ["<|im_start|>", False, True],
                            ["system\n", False, False],
                            ["Hi  \u202eyou", True, False],
                        ],
                    }
                },
                "masked_rows": [
                    {
                        "line": 1,
                        "in_batch": True,
                        "cut": 0,
                        "padding": 2,
                        "tokens": [
                            {"text": "Noor: ok?", "kind": "prompt", "trained": False},
                            {"text": "sure", "kind": "reply", "trained": True},
                        ],
                    }
                ],
                "given": {
                    "config": "my.yaml",
                    "data": "",
                    "model": "",
                    "adapter": "",
                    "existing": False,
                    "fused": "",
                },
            },
            "training": {
                "configs": [
                    {
                        "config": "my.yaml",
                        "name": "my",
                        "run_id": "60214374b5ca",
                        "model": "models/SmolLM2-135M-Instruct",
                        "data": "data/raw_style_variable",
                        "adapter": "adapters/my",
                        "iterations": 100,
                        "kept": {"iteration": 100, "validation_loss": 4.0},
                        "stopped": None,
                        "diverged": False,
                        "batch_size": 2,
                        "learning_rate": 0.0002,
                        "parameters_trained": 651264,
                        "parameters": 134515008,
                        "examples": 160,
                        "epochs": 1.25,
                        "tokens_in_loss": 4317,
                        "curve": [
                            {"iteration": 0, "validation_loss": 4.6},
                            {"iteration": 50, "train_loss": 4.2},
                            {"iteration": 100, "validation_loss": 4.0, "train_loss": 4.0},
                        ],
                        "forced": [],
                    }
                ]
            },
            "comparison": {
                "app": "historical",
                "formats": [
                    {"name": "aligned", "faults": [], "shots": 0, "retrieved": False},
                    {"name": "historical", "faults": [], "shots": 0, "retrieved": False},
                    {"name": "aligned, 4 examples", "faults": [], "shots": 4, "retrieved": False},
                ],
                "same": {"template": "aligned"},
                "models": [
                    {"name": name, "base": base, "config": None, "seed": seed, "option": option, "own": "aligned"}
                    for name, base, seed, option in (("base", None, None, None), ("tuned", "base", 0, "B"))
                ],
                "trained": "my",
                "heldout": {
                    "split": "test",
                    "all": 40,
                    "grouping": {"known": "recorded", "linked": 40, "rows": 40},
                    "leaked": 0,
                },
                "scaling": [],
                "fusing": {},
                "arms": [
                    arm("base", "aligned", 4.3),
                    arm("base", "historical", 4.35),
                    arm("base", "aligned, 4 examples", 4.05),
                    arm("tuned", "aligned", 4.06),
                    arm("tuned", "historical", 4.1),
                ],
                "differences": [
                    difference(("tuned", "aligned"), ("base", "aligned"), -0.24, -0.3, -0.2, "better"),
                    difference(("tuned", "historical"), ("base", "historical"), -0.24, -0.3, -0.2, "better"),
                    difference(("tuned", "historical"), ("tuned", "aligned"), 0.03, 0.01, 0.05, "worse"),
                    difference(("base", "historical"), ("base", "aligned"), 0.05, 0.01, 0.09, "worse"),
                    difference(
                        ("tuned", "aligned"), ("base", "aligned, 4 examples"), 0.01, -0.1, 0.1, "not distinguishable"
                    ),
                ],
                "attribution": {"base": None, "tuned": attributed()},
                "attribution_every": {},
                "training_formats": None,
                "archaeology": {"ranked": [], "told": "Not measured."},
                "generated": {
                    "longest": 48,
                    "ceiling": {
                        "mean": 0.13,
                        "interval": [0.1, 0.15],
                        "measures": written("person", "aligned", 1.0, 0.0, 0.13),
                    },
                    "arms": [
                        written("base", "aligned", 0.02, 0.5, 0.51),
                        written("tuned", "aligned", 0.98, 0.0, 0.4),
                        written("tuned", "historical", 0.35, 0.4, 0.41),
                    ],
                },
                "ability": None,
                "regurgitation": None,
                "samples": [sample(at, *(["loops", "cut"] if at % 3 == 0 else [])) for at in range(9)],
                "preference_pairs": [pair(at) for at in range(4)],
                "claims": [],
                "left_out": [],
            },
            "proof": None,
            "cost": {
                "01_extract": {"seconds": 8.0, "peak_memory_gigabytes": 1.1, "finished": "2026-11-27 10:00"},
                "04_compare": {"seconds": 112.0, "peak_memory_gigabytes": 3.9, "finished": "2026-11-27 10:09"},
                "machine": {"system": "Linux 6", "processor": "x86_64", "cores": 2},
                "arms": {},
            },
        }
    )


def proven(helped="better") -> dict:
    """A proof as proof.json has it: two faults of training, one of them without a cost, and the app's prompt."""
    more = {"seeds": 3, "each_seed": [0.5], "covers": "test replies and training seeds", "p": 0.001}
    family = {"family": {"name": "the cost of each fault", "size": 3}}
    rate = effect(0.5, 0.4, 0.6, "worse", **more, **family)
    prompt = effect(0.03, -0.01, 0.07, "not distinguishable", NEEDED, **more, **family)
    return {
        "was": effect(0.41, 0.3, 0.52, "worse", **more, **family),
        "fixed": effect(-0.31, -0.4, -0.22, "better", **more, **family),
        "helped": effect(-0.72, -0.8, -0.64, helped, **more, **family),
        "faults": [
            {
                "id": "learning_rate",
                "fault": "the learning rate",
                "part": "config",
                "notes": ["learning_rate is 1e-4."],
                "cost": rate,
                "broken": False,
                "idle": False,
            },
            {
                "id": "prompt",
                "fault": "the app's prompt",
                "part": "app",
                "notes": ["The app's prompt is training's."],
                "cost": prompt,
                "broken": False,
                "idle": False,
            },
            {
                "id": "prompt_trained",
                "fault": "the loss on the prompt",
                "part": "config",
                "notes": ["mask_prompt is true."],
                "cost": None,
                "broken": False,
                "idle": False,
            },
        ],
        "shares": None,
        "was_broken": False,
        "sentence": "As it was, worse than its base by 0.41 nats per reply token; as fixed, better than its base by 0.31.",
        "trainings": [{"name": "as fixed", "run_id": "a1"}, {"name": "as it was", "run_id": "b2"}],
        "most": 50,
        "left_out": 0,
        "edited": [],
        "fixed_copy": "reports/mine/fixed",
        "replies": 80,
        "conversations": 24,
        "seen": 2,
        "prompt_not_measured": "",
    }


def save(folder: Path, found: dict) -> Path:
    """Write results as a run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        if content is not None:
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def claims() -> list[dict]:
    """Two statements of the original report, as the demo tests them."""
    said = {
        "statement": "Fine-tuning was worse than the baseline",
        "test": "tuned against base",
        "measurement": "better",
    }
    return [said | {"number": number, "verdict": verdict} for number, verdict in ((1, "refuted"), (2, "confirmed"))]
