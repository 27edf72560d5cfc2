"""A fine-tune repaired: a new config, new rows and a new prompt, beside those that exist.

kinds     what a repair is                              draft     what a fine-tune consists of, read tolerantly
config    rates, lengths, names    keys  dead keys      rows, splits      the rows, and how they are divided
app       the prompt                                    folder    writes a repaired draft
changes   what changed, to print                        left      what no repair takes away, and why

A *draft* is plain data: `config` (the keys that the file sets), `rows` (split -> its rows, as JSON values) and
`profile` (how the app asks; None if not known). A repair takes a draft and gives another; nothing is changed in place.
"""

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

from .kinds import Repair, repaired  # before the repairs, which need it

# isort: split

from . import app, config, draft, keys, rows, splits
from .draft import read
from .folder import CONFIG, write

__all__ = ["CONFIG", "REPAIRS", "Repair", "read", "repaired", "write"]
# In the order in which they run: how long a run is depends on its rows.
REPAIRS = (*draft.REPAIRS, *rows.REPAIRS, *splits.REPAIRS, *keys.REPAIRS, *config.REPAIRS, *app.REPAIRS)
