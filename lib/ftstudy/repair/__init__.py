"""A fine-tune repaired: a new config, new rows and a new prompt, beside those that exist.

kinds     what a repair is                              draft     what a fine-tune consists of, read tolerantly
rows      what is in them, and how they are divided     keys      settings that mlx-lm ignores; `meant_values`
refused   settings that mlx-lm refuses                  config    rates and lengths; `settings` changes them
app       the prompt                                    folder    writes a repaired draft; `yaml_text`, `changes`
unrepaired  what no repair fixes, and why

A *draft* is plain data: `config` (the keys that the file sets), `rows` (split -> its rows, as JSON values) and
`profile` (how the app asks; None if not known). A repair takes a draft and gives another; nothing is changed in place.
"""

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

from .kinds import Repair, repaired, repairing  # before the repairs, which need it

# isort: split

from . import app, config, draft, keys, lengths, refused, rows, splits
from .draft import read
from .folder import ADAPTER, CONFIG, changed_since, is_of, origin, record, write

__all__ = [
    "ADAPTER",
    "CONFIG",
    "REPAIRS",
    "Repair",
    "changed_since",
    "is_of",
    "origin",
    "read",
    "record",
    "repaired",
    "repairing",
    "write",
]
# In the order in which they run: how long a run is depends on its rows, and a schedule on how long it is.
REPAIRS = (
    *draft.REPAIRS,
    *rows.REPAIRS,
    *rows.AGAIN,
    *splits.REPAIRS,
    *refused.TYPES,
    *keys.REPAIRS,
    *refused.REST,
    *lengths.REPAIRS,
    *config.REPAIRS,
    *refused.SCHEDULES,
    *config.RATES,
    *app.REPAIRS,
)
