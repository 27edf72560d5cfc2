"""The same replies scored and written: one by one with plain mlx-lm, and as a comparison does it.

    python bench/comparison.py [--replies 40] [--rounds 2]

Each contestant runs in a process of its own, one after another in every round, since these machines are
noisy: the ratios count. Both have the same tuned BLAS. The results have to be equal: texts token by token, and
likelihoods within 1e-4 nats a reply token.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL, VARIANT = "data/models/SmolLM2-135M-Instruct", "raw_style_variable"
LONGEST = 48
CONTESTANTS = {"plain": "plain loop: mlx_lm.generate, and one by one", "study": "this project"}
CLOSE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--replies", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        return print(json.dumps({"plain": plain, "study": study}[options.contestant](options.replies)))
    compare(options)


def compare(options) -> None:
    if not (ROOT / "data" / VARIANT / "test.jsonl").is_file():
        subprocess.run([sys.executable, "-m", "ftstudy", "demo"], cwd=ROOT, check=True)
        given = ["--source", "data/demo/chat.db", "--owner", "Sam", "--out", "data"]
        subprocess.run([sys.executable, "-m", "ftstudy", "extract", *given], cwd=ROOT, check=True)
    found = {name: [] for name in CONTESTANTS}
    for _ in range(options.rounds):
        for name in CONTESTANTS:
            arguments = ["--contestant", name, "--replies", str(options.replies)]
            made = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, cwd=ROOT)
            if made.returncode:
                sys.exit(made.stderr)
            found[name].append(json.loads(made.stdout.splitlines()[-1]))
    print(f"\n{options.replies} replies, {options.rounds} rounds: seconds, and how many times as fast")
    for what in ("scoring", "writing"):
        seconds = {name: statistics.median(run[what] for run in runs) for name, runs in found.items()}
        for name, label in CONTESTANTS.items():
            print(f"{what:8} {label:46} {seconds[name]:7.1f} s {seconds['plain'] / seconds[name]:6.2f}×")
    theirs, ours = (found[name][0] for name in CONTESTANTS)
    apart = max(abs(one - other) for one, other in zip(theirs["nats"], ours["nats"]))
    equal = sum(one == other for one, other in zip(theirs["texts"], ours["texts"]))
    print(f"nats a reply token {apart:.1e} apart at most; {equal} of {options.replies} texts are equal")
    if apart > CLOSE:
        sys.exit(f"the likelihoods differ by more than {CLOSE}")


def prepared(replies: int) -> tuple:
    from ftstudy import chat_format, paths
    from ftstudy.extract import variant_folder
    from ftstudy.models import base_models

    test = variant_folder.load_examples(paths.absolute(f"data/{VARIANT}"), "test")
    rows = test[:: max(len(test) // replies, 1)][:replies]
    tokenizer = base_models.load_tokenizer(MODEL)
    prompts = [chat_format.prompt_ids(row, tokenizer) for row in rows]
    return prompts, [chat_format.reply_ids(row, tokenizer) for row in rows], paths.absolute(MODEL)


def plain(replies: int) -> dict:
    from ftstudy.resource_use import clock

    prompts, targets, folder = prepared(replies)
    import mlx.core as mx
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(folder))[:2]
    started, nats = clock(), []
    for prompt, (reply, end) in zip(prompts, targets):
        ids = mx.array([prompt + reply + end])
        logits = model(ids[:, :-1])[0].astype(mx.float32)
        losses = mx.logsumexp(logits, -1) - mx.take_along_axis(logits, ids[0, 1:, None], -1)[:, 0]
        nats.append(losses[len(prompt) - 1 :][: len(reply)].sum().item() / len(reply))
    scored = clock()
    texts = [mlx_lm.generate(model, tokenizer, prompt, max_tokens=LONGEST).strip() for prompt in prompts]
    return {"scoring": scored - started, "writing": clock() - scored, "nats": nats, "texts": texts}


def study(replies: int) -> dict:
    from ftstudy.compare import generation, likelihood
    from ftstudy.models import base_models
    from ftstudy.resource_use import clock

    prompts, targets, folder = prepared(replies)
    model, tokenizer = base_models.load(folder)
    started = clock()
    scores = likelihood.score(model, prompts, targets)
    scored = clock()
    written = generation.generate(model, tokenizer, prompts, LONGEST)
    return {
        "scoring": scored - started,
        "writing": clock() - scored,
        "nats": (scores["reply"] / scores["tokens"]).tolist(),
        "texts": [reply["text"] for reply in written],
    }


if __name__ == "__main__":
    main()
