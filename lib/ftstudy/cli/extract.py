"""`ftstudy extract`: a chat history becomes train, valid and test rows."""

from ..paths import absolute, shown
from ..printable import one_line
from .arguments import number

FEW = 10  # rows in a split, below which its measurements mean little


def add(parsers):
    parser = parsers.add_parser("extract", help="turn a chat history into train, valid and test rows")
    parser.add_argument("--source", required=True, help="the chat history, e.g. ~/Library/Messages/chat.db")
    parser.add_argument("--owner", required=True, help="your name, as the prompts should say it")
    parser.add_argument("--out", required=True, type=absolute, help="folder to write one folder per variant into")
    parser.add_argument("--variant", action="append", help="variant to write; may be repeated (raw_style_variable)")
    read = parser.add_argument_group("reading the source")
    read.add_argument("--kind", default="auto", help="the app that wrote it, as docs/sources.md names it (detected)")
    read.add_argument("--me", action="append", help="your name in the source, if not --owner; separate several with ;")
    read.add_argument("--contacts", type=absolute, help="your address book (vCard or CSV): names and merged addresses")
    read.add_argument(
        "--date-order",
        help="order of ambiguous dates: dmy, mdy or ymd; or how a message begins, like '%%d.%%m.%%y, %%H:%%M -'",
    )
    read.add_argument("--time-zone", help="time zone of timestamps without one, e.g. Europe/Berlin (UTC)")
    read.add_argument(
        "--region",
        default="",
        help="country of phone numbers without a country code, e.g. DE (inferred from the others)",
    )
    read.add_argument("--no-mask", action="store_true", help="keep names, numbers, addresses and links as they are")
    pairs = parser.add_argument_group("building reply pairs")
    pairs.add_argument("--context-messages", type=number(1), help="max messages before a reply (8)")
    pairs.add_argument("--context-bytes", type=number(1), help="max bytes of context, which limits tokens (1000)")
    pairs.add_argument("--reply-bytes", type=number(1), help="max bytes of a reply (1000)")
    pairs.add_argument("--burst-minutes", type=number(0, float), help="messages this close together are one reply (3)")
    pairs.add_argument("--session-minutes", type=number(0, float), help="a longer silence ends a conversation (60)")
    pairs.add_argument("--groups", action="store_true", help="include group chats")
    chosen = parser.add_argument_group("choosing pairs (overrides the variant's own settings)")
    chosen.add_argument("--min-words", type=number(1), help="min words in a reply")
    chosen.add_argument("--min-characters", type=number(1), help="min characters in a reply")
    chosen.add_argument("--repeats", type=number(1), help="max pairs with the same reply (100)")
    chosen.add_argument("--per-contact", type=number(1), help="max pairs from one contact (2000; raw_style 200)")
    chosen.add_argument(
        "--heldout-share",
        type=number(0, float, most=0.5),
        help="share of pairs to hold out, by person (0.05)",
    )
    return parser


def run(options) -> None:
    from .. import privacy, sources, wording
    from ..extract import reply_pairs, variant_folder, variants
    from ..privacy import contacts, regions

    def given(*names) -> dict:
        return {name: getattr(options, name) for name in names if getattr(options, name) is not None}

    sources.check_owner(options.source, options.owner)
    regions.check_region(options.region)
    for variant in options.variant or []:
        variants.parameters_of(variant)  # fail on a misspelt variant before a long history is read
    me = [name.strip() for text in options.me or [options.owner] for name in text.split(";") if name.strip()]
    messages = sources.read_messages(absolute(options.source), options.kind, me=me, **given("date_order", "time_zone"))
    book = contacts.load(options.contacts) if options.contacts else []
    messages = contacts.apply(messages, book)
    if not options.no_mask:
        messages, masked = privacy.mask(messages, privacy.people_of(messages, book, options.owner, me), options.region)
        print(f"masked: {wording.masked(masked)}")
    print(*map(one_line, messages.attrs["notes"]), sep="\n")
    limits = given("context_messages", "context_bytes", "reply_bytes", "burst_minutes", "session_minutes")
    pairs, funnel = reply_pairs.build(messages, groups=options.groups, **limits)
    origin = {"source": messages.attrs["source"], "owner": options.owner, "kind": messages.attrs["kind"]}
    chosen = given("min_words", "min_characters", "repeats", "per_contact", "heldout_share")
    wanted = options.variant or [variant_folder.DEFAULT]
    written = variants.write(pairs, options.owner, wanted, options.out, origin, funnel, **chosen)
    for variant, splits in written.items():
        _print_splits(shown(options.out / variant), splits)
    _print_funnel(funnel)


def _print_splits(folder: str, splits: dict) -> None:
    from ..extract.variant_folder import SPLITS

    print(one_line(f"{folder}: ") + ", ".join(f"{part['examples']:,} {name}" for name, part in splits.items()))
    few = [name for name in SPLITS if splits[name]["examples"] < FEW]
    if few:
        print(f"  Too few rows in {', '.join(few)} to measure much. Add more chat history.")


def _print_funnel(funnel: list[dict]) -> None:
    """The counts alone: notebook 01 and the report show examples, a terminal's output may end up anywhere."""
    for step in funnel:
        print(f"  {step['removed']:>9,} removed  {step['left']:>9,} {step['unit']} left  {step['step']}")
