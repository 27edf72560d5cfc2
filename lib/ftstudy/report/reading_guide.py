"""What the report explains once: how to read its numbers."""

NATS = (
    "Every model is scored on the same held-out replies. The measure is the mean negative log-likelihood of the true "
    "replies, in nats per reply token (a token is a word piece). Lower is better: 0.1 nats less makes each token 11% more "
    "likely, 1 nat less 2.7 times as likely. Bits per byte are the same measure per byte of the reply; use them to compare "
    "models with different tokenizers."
)
INTERVAL = (
    "A 95% interval is computed from the differences between whole conversations, because replies in one conversation "
    "are alike; of 100 such intervals, about 95 contain the truth. Each interval is for one difference, and covers the "
    "choice of test replies, not the randomness of training."
)
HOLM = (
    "Verdicts that answer one question (the trained models against their base, one model's prompts, the faults of one "
    "prompt) get Holm's multiple-comparison correction: if there were no difference at all, chance would make any "
    "of them “better” or “worse” in at most 5% of studies. Where one is not distinguishable, the number of replies "
    "that would detect small differences in four of five studies is computed from the spread measured here."
)
FAULTS = (
    "Every combination of the faults that change a token was measured. The main effect is what a fault costs on average, "
    "with and without the others. An interaction is half the amount by which the combined effect of two faults differs "
    "from the sum of their separate effects. The Shapley shares split the whole cost among the faults and add up to it."
)
STYLE = (
    "The style distance is the mean of five Jensen-Shannon distances: length, case, closing punctuation, abbreviations and "
    "character trigrams. It runs from 0 (the same) to 1. “The untrained model” is the base model prompted as in training; "
    "“the person” is as many of their own replies against the other half. Only replies of "
    "{copied_words} words or more count as copied."
)
MASK = "The first rows of train.jsonl as they are trained on: only the marked tokens count in the loss."
ORIGINAL = (
    "This run is the demo, which repeats the investigation this project began with. “Confirmed” and “refuted” refer "
    "to that report's statements, not to your fine-tune."
)
PRIVATE = "This page contains private messages: share it with care. `ftstudy report --share` writes one without anybody's words."
SHARED = (
    "An edition without anybody's words: messages, replies, prompts, names and paths are left out. Numbers, verdicts and "
    "the names of checks are as in the full report."
)


def no_interval(conversations: str) -> str:
    """Why there are no verdicts; `conversations`: how many there are, "2 conversations"."""
    return (
        f"There are no intervals and no verdicts: {conversations} can't show how far conversations differ. It takes three, "
        "none of them with most of the replies."
    )
