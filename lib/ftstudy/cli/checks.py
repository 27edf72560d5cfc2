"""`ftstudy checks`: what the audit looks for."""


def add(parsers):
    parser = parsers.add_parser("checks", help="list what the audit looks for")
    parser.add_argument("--markdown", action="store_true", help="print docs/checks.md")
    return parser


def run(options) -> None:
    from .. import audit

    form = "| `{check}` | {severity} | {meaning} |" if options.markdown else "{check:<28} {severity:<24} {meaning}"
    if options.markdown:
        print("# What the audit looks for\n\nWritten by `python -m ftstudy checks --markdown`.\n")
        print("| Check | Severity | Meaning |\n|---|---|---|")
    for row in audit.documentation():
        print(form.format(**row))
