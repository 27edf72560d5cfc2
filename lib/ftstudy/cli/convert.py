"""`ftstudy convert`: rows of other trainers as rows of messages."""

from ..paths import absolute, shown


def add(parsers):
    parser = parsers.add_parser(
        "convert",
        help="convert ShareGPT, Alpaca and other rows, JSON arrays and misnamed files for mlx-lm",
    )
    parser.add_argument("--data", required=True, type=absolute, help="folder with train.jsonl and so on")
    parser.add_argument("--out", required=True, type=absolute, help="new folder for the converted files")
    return parser


def run(options) -> None:
    from ..chat_format.conversions import converted
    from ..chat_format.rows_of_any_file import find
    from ..errors import StudyError
    from ..extract.variant_folder import SPLITS
    from ..files import write_jsonl
    from ..files.folders import make_folder

    given = {
        name: found for name in SPLITS if (found := find(options.data, name)) and (found.rows or found.split.broken)
    }
    if not given:
        raise StudyError(f"{shown(options.data)} has no train.jsonl, valid.jsonl or test.jsonl to convert.")
    if options.out.exists():
        raise StudyError(f"{shown(options.out)} exists already. Name a new folder, so that nothing is overwritten.")
    made = {name: _converted(found, converted) for name, found in given.items()}
    make_folder(options.out)
    for name, rows in made.items():
        write_jsonl(options.out / f"{name}.jsonl", rows)
    sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in made.items())
    print(f"Wrote rows of messages to {shown(options.out)}: {sizes}. Set `data: {shown(options.out)}` in your config.")


def _converted(found, converted) -> list[dict]:
    """A split's rows as messages. Text rows that only the file's format hides from mlx-lm stay text."""
    from ..errors import StudyError

    if found.split.broken and not found.form:
        raise StudyError(f"{found.split.where} is not JSONL ({found.split.broken[0]}). Fix that line first.")
    made = []
    for place, row in zip(found.places, found.rows):
        kept = row if found.form and isinstance(row.get("text"), str) else None
        made.append(converted(row) or kept)
        if made[-1] is None:
            raise StudyError(f"{place} has no conversation in a known form. Write it as `messages`.")
    return made
