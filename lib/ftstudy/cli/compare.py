"""`ftstudy compare`: measure the arms of a comparison; notebook 04 then shows them."""

from .arguments import add_parameters, add_run, only_one, run_folder


def add(parsers):
    parser = parsers.add_parser("compare", help="measure a comparison for notebook 04, or resume a stopped one")
    add_run(parser)
    add_parameters(parser)
    return parser


def run(options) -> None:
    """Takes the parameters of notebook 04, which then finds its measurements already made."""
    from ..stages import measuring

    with only_one(run_folder(options.run)):
        measuring.measure(options.run, dict(options.parameter))
