"""Models under prompt formats: how likely the true replies are, and what the models write instead.

An *arm* is one model under one format. `plan` says which there are, `arms` measures each once and
keeps it, `results` makes plain data of them, for the notebook, the report and comparison.json.

heldout       which held-out replies        faults       what can be wrong with a prompt
likelihood   nats of the true reply        attribution  what each fault costs
generation   replies that a model writes   archaeology  which format an adapter is from
likeness     how near they come            preference   a blind test by eye
intervals    bootstrap and verdicts        repeats      option A, and more seeds
"""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
