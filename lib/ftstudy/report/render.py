"""Results as HTML, for a notebook's cells and for the report alike; everything is escaped."""

import base64
import re
from io import BytesIO
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ..paths import shown
from ..printable import printable
from ..wording import count, format_name, interval, number, prompted

TEMPLATES = Path(__file__).parent / "templates"


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    # Whatever a template shows: a name may turn the direction of what comes after it.
    finalize=lambda value: printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
)


def isolated(text: str) -> Markup:
    """Names and other people's text: each line keeps the direction of its script to itself."""
    lines = (Markup("<bdi>%s</bdi>") % printable(line) if line else "" for line in str(text).split("\n"))
    return Markup("\n").join(lines)


def quotes(text: str) -> Markup:
    """A sentence of ours, with what it quotes isolated."""
    return Markup(re.sub("“([^“”]*)”", r"“<bdi>\1</bdi>”", str(escape(printable(text)))))


def visible(text: str) -> str:
    """A token's text with its white space and invisible characters to be seen; lines still break."""
    marks = {" ": "·", "\n": "⏎\n", "\r": "␍", "\t": "⇥"}
    # What joins and colours emoji stays: marked, it would take them apart.
    return "".join(
        marks.get(letter)
        or (letter if letter.isprintable() or letter in "\u200d\u200c\ufe0f" else f"‹U+{ord(letter):04X}›")
        for letter in text
    )


_environment.filters.update(
    count=count,
    format_name=format_name,
    interval=interval,
    isolated=isolated,
    quotes=quotes,
    number=number,
    prompted=prompted,
    shown=shown,
    visible=visible,
)


def fragment(template: str, **values) -> str:
    """One of templates/*.html.j2, filled: a piece of HTML."""
    return Markup(_environment.get_template(f"{template}.html.j2").render(**values))


def show(template: str, **values):
    """A fragment as a notebook's output."""
    from IPython.display import HTML

    return HTML(fragment(template, **values))


def table(rows: list[dict], columns: dict[str, str], caption: str = "") -> str:
    """Rows as a table: `columns` maps a row's keys to headers, in order."""
    return fragment("table", rows=rows, columns=columns, caption=caption)


_environment.globals["table"] = table


def show_table(rows: list[dict], columns: dict[str, str], caption: str = ""):
    return show("table", rows=rows, columns=columns, caption=caption)


def diff(comparison: dict, tokenizer) -> dict:
    """Both sides of `audit.parity.compare` as (text, differs) pieces, for the diff template."""
    return {
        side: [(tokenizer.decode(block[side]), not block["equal"]) for block in comparison["blocks"] if block[side]]
        for side in ("training", "inference")
    }


def show_picture(figure, alt: str):
    """A matplotlib figure as a notebook's output."""
    from IPython.display import Image

    return Image(data=base64.b64decode(picture(figure, alt)["data"]), alt=alt)


def picture(figure, alt: str) -> dict:
    """A matplotlib figure as {"data": base64 PNG, "alt": text}."""
    buffer = BytesIO()
    # Without the date and the version, equal figures are equal bytes.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return {"data": base64.b64encode(buffer.getvalue()).decode("ascii"), "alt": alt}
