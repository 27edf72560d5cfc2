"""`ftstudy convert`: rows of other trainers as rows of messages."""

from ..paths import absolute, shown


def add(parsers):
    parser = parsers.add_parser("convert", help="write ShareGPT, Alpaca and other rows as rows of messages")
    parser.add_argument("--data", required=True, type=absolute, help="folder with train.jsonl and its like")
    parser.add_argument("--out", required=True, type=absolute, help="new folder for the converted files")
    return parser


def run(options) -> None:
    from ..chat_format.conversions import converted
    from ..chat_format.rows import read_split
    from ..errors import StudyError
    from ..extract.variant_folder import SPLITS
    from ..files import write_jsonl
    from ..files.folders import make_folder

    names = [name for name in SPLITS if (options.data / f"{name}.jsonl").is_file()]
    if not names:
        raise StudyError(f"{shown(options.data)} has no train.jsonl, valid.jsonl or test.jsonl to convert.")
    if options.out.exists():
        raise StudyError(f"{shown(options.out)} exists already. Name a new folder, so that nothing is overwritten.")
    made = {}
    for name in names:
        split = read_split(options.data, name)
        if split.broken:
            raise StudyError(f"{split.where} is not JSONL ({split.broken[0]}). Fix that line first.")
        made[name] = [converted(row) for row in split.rows]
        if None in made[name]:
            line = split.numbers[made[name].index(None)]
            raise StudyError(f"{split.where} line {line} has no conversation in a known form. Write it as `messages`.")
    make_folder(options.out)
    for name, rows in made.items():
        write_jsonl(options.out / f"{name}.jsonl", rows)
    sizes = ", ".join(f"{name} {len(rows):,}" for name, rows in made.items())
    print(f"Wrote rows of messages to {shown(options.out)}: {sizes}. Set `data: {shown(options.out)}` in your config.")
