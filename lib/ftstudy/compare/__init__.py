"""Models under prompt formats: how likely the true replies are, and what the models write instead.

An *arm* is one model under one format. `plan` lists them, `arms` measures each once and stores it,
`results` turns them into plain data for the notebook, the report and comparison.json.

heldout           which replies               prompt_formats  what can be wrong with a prompt
likelihood        nats of the true reply      prompt_pieces   a prompt read next to training's
generation        replies that models write   attribution     what each fault costs
style_similarity  how close they come         archaeology     which format an adapter was trained in
loops             do they repeat themselves   retrieval       similar conversations in the prompt
ability           what the model forgot       regurgitation   private messages repeated
intervals         intervals and verdicts      repeats         option A, and more seeds
multiple_testing  verdicts on one question    preference      a blind test by eye
"""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
