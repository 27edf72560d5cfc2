"""Models under prompt formats: how likely the true replies are, and what the models write instead.

An *arm* is one model under one format. `plan` lists them, `arms` measures each once and stores it,
`results` turns them into plain data for the notebook, the report and comparison.json.

heldout           which replies               prompt_formats  what can be wrong with a prompt
likelihood        nats of the true reply      prompt_pieces   a prompt read next to training's
generation        replies that models write   attribution     what each fault costs
written_replies   what is wrong with them     archaeology     which format an adapter was trained in
loops             do they repeat themselves   retrieval       similar conversations in the prompt
style_similarity  how close they come         regurgitation   private messages repeated
ability           what the model forgot       repeats         option A, and more seeds
intervals         intervals and verdicts      preference      a blind test by eye
multiple_testing  verdicts on one question
"""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
