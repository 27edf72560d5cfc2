"""`ftstudy convert`: rows of other trainers as rows of messages."""

from ..paths import absolute, shown


def add(parsers):
    parser = parsers.add_parser(
        "convert",
        help="write ShareGPT, Alpaca and other rows, JSON arrays and files of other names as mlx-lm reads them",
    )
    parser.add_argument("--data", required=True, type=absolute, help="folder with train.jsonl and its like")
    parser.add_argument("--out", required=True, type=absolute, help="new folder for the converted files")
    return parser


def run(options) -> None:
    from ..chat_format.conversions import converted
    from ..errors import StudyError
    from ..extract.variant_folder import SPLITS
    from ..files import write_jsonl
    from ..files.folders import make_folder

    given = {name: rows for name in SPLITS if (rows := _rows(options.data, name))}
    if not given:
        raise StudyError(f"{shown(options.data)} has no train.jsonl, valid.jsonl or test.jsonl to convert.")
    if options.out.exists():
        raise StudyError(f"{shown(options.out)} exists already. Name a new folder, so that nothing is overwritten.")
    made = {}
    for name, rows in given.items():
        made[name] = [converted(row) or kept for _, row, kept in rows]
        if None in made[name]:
            place = rows[made[name].index(None)][0]
            raise StudyError(f"{place} has no conversation in a known form. Write it as `messages`.")
    make_folder(options.out)
    for name, rows in made.items():
        write_jsonl(options.out / f"{name}.jsonl", rows)
    sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in made.items())
    print(f"Wrote rows of messages to {shown(options.out)}: {sizes}. Set `data: {shown(options.out)}` in your config.")


def _rows(folder, name: str) -> list[tuple[str, object, dict | None]]:
    """Each row of a split, from a file of any name and form: its place, its value, and itself if it is to be kept where
    it has no conversation: a text, which only the file's form hides from mlx-lm. [] without a file."""
    from ..chat_format.row_files import has_rows_on_lines, rows_of_whole, stand_in
    from ..chat_format.rows import read_split
    from ..errors import StudyError

    path = folder / f"{name}.jsonl"
    path = path if path.is_file() else stand_in(folder, name)
    if path is None:
        return []
    split = read_split(folder, name, path=path)
    if (split.broken or not has_rows_on_lines(path)) and (whole := rows_of_whole(path)):
        return [
            (f"{split.where}, row {number},", row, row if isinstance(row.get("text"), str) else None)
            for number, row in enumerate(whole[1], 1)
        ]
    if split.broken:
        raise StudyError(f"{split.where} is not JSONL ({split.broken[0]}). Fix that line first.")
    return [(f"{split.where} line {number}", row, None) for number, row in zip(split.numbers, split.rows)]
