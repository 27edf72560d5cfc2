"""What the terminal prints after a study: the verdict, the first cause with its fix, and the page."""

from pathlib import Path

from ..paths import absolute, shown
from ..printable import one_line, say, say_link
from ..wording import count
from .layout import coloured

SIGNS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}


def say_found(folder: Path, failed: str = "") -> None:
    """Print what the run's diagnosis.json says. `failed`: why no model was compared, which is printed elsewhere."""
    from ..diagnosis import evidence

    found = evidence.read(folder, ("diagnosis", "proof"))
    for line, colour in lines(found["diagnosis"], failed, found["proof"]):
        say(line, colour)
    say_page(folder / "index.html")


def say_shared(folder: Path, failed: str = "") -> None:
    """Write the report without private text, and print where it is."""
    from ..report import page

    say_page(page.build(folder, failed, share=True), "The report to share, without private text: ")


def say_page(path: Path, before: str = "The report: ") -> None:
    """Print where a page is, to click on."""
    say_link(before, shown(path), absolute(path).as_uri())


def lines(found: dict, failed: str = "", proof: dict | None = None) -> list[tuple[str, str]]:
    """(line, colour) pairs; `found`: the content of diagnosis.json; `proof`: that of proof.json, if there is one."""
    from .. import diagnosis
    from ..proof.result import next_step

    verdict, causes = found["verdict"], diagnosis.worst(found)
    sign, colour = SIGNS[verdict["usable"]]
    said = [(f"{sign} {one_line(verdict['headline'])}", colour)]
    if not failed:
        said += coloured(verdict["sentence"], "  ", "")
    if step := next_step(proof):
        said += [("", ""), (step["title"], "bold"), *coloured(step["text"], "  ", "")]
        command = [("", ""), (f"    {one_line(step['command'])}", "bold")] if step["command"] else []
        return [*said, *command, ("", "")]
    more = [("", ""), *coloured(_more(found))] if _more(found) else []
    if not causes:
        return [*said, ("", ""), ("Nothing wrong was found.", ""), *more, ("", "")]
    first = causes[0]
    cost = f" ({first['cost']['in_words']})" if first["cost"] else ""
    said += [("", ""), *coloured(f"First: {first['what']}{cost}.", "", "  ", "bold")]
    said += coloured(first["fix"], "  ", "")
    for name, command in commands(first):
        said += [("", ""), (f"  {name}:", ""), (f"    {one_line(command)}", "bold")]
    if others := causes[1:]:
        said += [("", ""), *coloured(_others(others))]
    return [*said, *more, ("", "")]


def _more(found: dict) -> str:
    """What more training, more rows or a larger model would bring; empty where the curve doesn't say."""
    advised = [one for one in found.get("advice", []) if one["id"] != "unknown"]
    return f"Would more help? {advised[0]['what']}. {advised[0]['why']}" if advised else ""


def commands(cause: dict) -> list[tuple[str, str]]:
    """What to run for a cause: (what for, command)."""
    both = cause["apply"] == cause["prove"]
    found = [("Apply it, and measure again" if both else "Apply it", cause["apply"])]
    return [one for one in [*found, ("" if both else "Then measure again", cause["prove"])] if one[0] and one[1]]


def _others(causes: list[dict]) -> str:
    some = "; ".join(one["what"] for one in causes[:2])
    more = ", and others" if len(causes) > 2 else ""
    return f"{count(len(causes), 'more cause')} in the report: {some}{more}."
