"""`ftstudy baseline`: store the notebooks' outputs on the sample, which `make test` compares with."""


def add(parsers):
    return parsers.add_parser("baseline", help="store the notebooks' outputs on the sample, for the tests to compare")


def run(options) -> None:
    from ..stages import notebooks

    for name in notebooks.names():
        print(f"{name}: running on the sample", flush=True)
        notebooks.store_outputs(name)
