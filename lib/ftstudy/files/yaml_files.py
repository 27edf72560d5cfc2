"""YAML that somebody else may have written: bounded in size and time, also where aliases repeat each other."""

import yaml

from .limits import limited

LONGEST = 14_000  # bits of a whole number
MOST = 100_000  # values, each alias counted as what it stands for


def parse(text: str, loader: type = yaml.SafeLoader):
    """The value of a YAML text. Raises yaml.YAMLError, RecursionError, whatever the constructors raise for odd values,
    and StudyError if reading it takes too long."""
    with limited("The YAML takes more than 20 seconds or 2 GB to read. Remove its aliases (*name) or shorten it."):
        reader = _bounded(loader)(text)
        try:
            root = reader.get_single_node()
            if root is None:
                return None
            if _size(root, {}) > MOST:
                problem = f"more than {MOST:,} values, counting what its aliases (*name) repeat; write them out"
                raise yaml.constructor.ConstructorError(None, None, problem, root.start_mark)
            return reader.construct_document(root)
        finally:
            reader.dispose()


def _bounded(loader: type) -> type:
    """The loader, which refuses whole numbers with more digits than Python turns into text."""

    class Bounded(loader):
        def construct_object(self, node, deep=False):
            value = super().construct_object(node, deep)
            if isinstance(value, int) and value.bit_length() > LONGEST:  # in hexadecimal or in minutes (1:30)
                raise yaml.constructor.ConstructorError(None, None, "a number of thousands of digits", node.start_mark)
            return value

    return Bounded


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node has when its aliases are written out, but for those of a node within itself."""
    if id(node) not in known:
        known[id(node)] = 1  # within itself
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for one in inner for part in (one if isinstance(one, tuple) else (one,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
