"""`ftstudy checks`: what the audit looks for."""


def add(parsers):
    parser = parsers.add_parser("checks", help="list what the audit looks for")
    parser.add_argument("--markdown", action="store_true", help="print docs/checks.md")
    return parser


def run(options) -> None:
    from .. import audit

    if options.markdown:
        print(audit.documentation.page(audit.checks()), end="")
        return
    for row in audit.documentation.rows(audit.checks()):
        print("{check:<28} {severity:<24} {meaning}".format(**row))
