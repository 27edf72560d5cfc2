"""Models under prompt formats: how likely the true replies are, and what the models write instead.

An *arm* is one model under one format. `plan` lists them, `arms` measures each once and stores it,
`results` turns them into plain data for the notebook, the report and comparison.json.

heldout           which replies               faults       what can be wrong with a prompt
likelihood        nats of the true reply      attribution  what each fault costs
generation        replies that models write   archaeology  which format an adapter was trained in
style_similarity  how close they come         preference   a blind test by eye
intervals         bootstrap and verdicts      repeats      option A, and more seeds
"""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
