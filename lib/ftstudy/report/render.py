"""Results as HTML, for a notebook's cells and for the report alike; everything is escaped."""

import hashlib
import re
from io import BytesIO, StringIO
from pathlib import Path

import jinja2
import matplotlib
from markupsafe import Markup, escape

from ..paths import shown
from ..printable import printable
from ..progress import watched
from ..wording import count, format_name, interval, number, prompted
from . import charts
from .invisible_characters import piece, visible

TEMPLATES = Path(__file__).parent / "templates"
NAMELESS = ("Creator", "Date", "Format", "Type")  # of an SVG's metadata


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


def prose(text: str) -> Markup:
    """Sentences: each line and what they quote isolated, what they have in backticks as code."""
    lines = [re.sub("`([^`]+)`", r"<code>\1</code>", quotes(line)) for line in str(text).split("\n")]
    return Markup("\n".join(f"<bdi>{line}</bdi>" if line else "" for line in lines))


LINES, LETTERS = 100, 1000  # of a finding's evidence on the page, and of each of its lines: findings.json has all


def at_most(lines: list[str], most: int) -> list[str]:
    """The first lines, each cut to LETTERS, and how many more there are."""
    shown = [line if len(line) <= LETTERS else f"{line[:LETTERS]}… ({len(line):,} characters)" for line in lines[:most]]
    return shown + ([f"… and {len(lines) - most:,} more, in findings.json"] if len(lines) > most else [])


_environment.globals["LINES"] = LINES
_environment.filters.update(
    at_most=at_most,
    count=count,
    format_name=format_name,
    interval=interval,
    isolated=isolated,
    quotes=quotes,
    number=number,
    piece=piece,
    prompted=prompted,
    prose=prose,
    shown=shown,
    visible=visible,
)


def fragment(template: str, **values) -> str:
    """One of templates/*.html.j2, filled: a piece of HTML."""
    return Markup(_environment.get_template(f"{template}.html.j2").render(**values))


def show(template: str, **values):
    """A fragment as a notebook's output, in the colours of `lab.prepare`."""
    from IPython.display import HTML

    return HTML(fragment(template, **values))


def table(rows: list[dict], columns: dict[str, str], caption: str = "") -> str:
    """Rows as a table: `columns` maps a row's keys to headers, in order."""
    return fragment("table", rows=rows, columns=columns, caption=caption)


_environment.globals["table"] = table


def show_table(rows: list[dict], columns: dict[str, str], caption: str = ""):
    return show("table", rows=rows, columns=columns, caption=caption)


def show_picture(figure, alt: str):
    """A matplotlib figure as a notebook's output: in the colours of its theme if a person is looking, else as a PNG, which
    is also shown where nobody trusts the notebook's HTML, as on a repository's page."""
    from IPython.display import HTML, Image

    if watched():
        return HTML(picture(figure, alt))
    buffer = BytesIO()
    # Without the date and the version, equal figures are equal bytes.
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return Image(data=buffer.getvalue(), alt=alt)


def picture(figure, alt: str) -> str:
    """A matplotlib figure as inline SVG that follows the theme: its text and lines have the colour of the text around
    it, and its other colours are the page's, if it has them. Equal figures are equal bytes."""
    buffer = StringIO()
    name = hashlib.sha256(alt.encode(errors="backslashreplace")).hexdigest()[:8]
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata=dict.fromkeys(NAMELESS))
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn).groups()
    drawn = re.sub(r"<svg[^>]*>", "", drawn, count=1)
    # Its style would be the whole page's.
    drawn = re.sub(r"\s*<(metadata|style)\b.*?</\1>|<!--.*?-->", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)  # of no use, and the same in every figure
    drawn = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{name}-", drawn).replace("xlink:href", "href")
    drawn = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1; font-family: inherit", drawn)
    for colour, themed in charts.THEME.items():
        drawn = drawn.replace(colour, themed)
    label = escape(printable(alt))
    return Markup(
        f'<svg class="ftstudy-chart" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
        f'width="{float(width):.0f}" fill="currentColor" stroke-linejoin="round" '
        f'style="max-width: 100%; height: auto">{drawn}'
    )
