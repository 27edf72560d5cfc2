"""Which config keys the installed mlx-lm reads, found in its own source.

Starting at `lora.run(args)`, every read of `args` is followed through the functions it is passed to: `args.iters`,
`getattr(args, "hf_dataset", False)`, and `config["rank"]` where `config` is `args.lora_parameters`. A key that is
declared but never read, or that YAML cannot set, is dead. Only other trainers' names are listed by hand, in `key_aliases`.
"""

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ...errors import StudyError
from ...files.limits import limited
from ...machine_failures import pass_on
from ...printable import cut

TYPES = {"int": int, "float": float, "str": str, "bool": bool}


@dataclass(frozen=True)
class TrainerKeys:
    live: frozenset[str]  # dotted: "iters", "lora_parameters.rank"
    dead: dict[str, str]  # declared, but never applied from YAML -> the reason
    types: dict[str, type]  # of live keys, as far as the source shows
    choices: dict[str, tuple]  # of options with a fixed list of values
    defaults: dict
    optimizers: dict[str, str]  # name in a config -> class in mlx.optimizers

    def section(self, name: str) -> frozenset[str]:
        """The keys read inside `name`; empty if mlx-lm passes it on as a whole."""
        return frozenset(key.removeprefix(f"{name}.") for key in self.live if key.startswith(f"{name}."))


@cache
def installed() -> TrainerKeys:
    """The keys of the installed mlx-lm. Raises StudyError if its source has an unknown structure."""
    return analyse(Path(find_spec("mlx_lm").submodule_search_locations[0]))


def analyse(package: Path) -> TrainerKeys:
    """The keys read by the mlx-lm in the folder `package`. Raises StudyError if its source has an unknown structure."""
    modules: dict[Path, _Module] = {}
    lora = _module(package / "lora.py", modules)
    if lora is None or not {"run", "build_parser"} <= lora.functions.keys() or "CONFIG_DEFAULTS" not in lora.constants:
        raise StudyError(
            f"The audit cannot find out which keys {package.name} reads: its lora.py lacks `run`, `build_parser` or "
            "CONFIG_DEFAULTS. Install the version in requirements.lock."
        )
    defaults = lora.constants["CONFIG_DEFAULTS"]
    options = _options(lora.functions["build_parser"])
    read: dict = {}
    fallback: dict[str, type] = {}  # of getattr(args, "text_feature", "text")
    _Reader(package, modules, fallback).follow(
        lora, lora.functions["run"], {lora.functions["run"].args.args[0].arg: (read, True)}, set()
    )
    dead = {}
    for key in defaults.keys() | options.keys():
        if options.get(key, {}).get("default") is not None:
            dead[key] = (
                f"its command line option has the default {options[key]['default']!r}, "
                "and a config only sets options that the command line leaves unset"
            )
        elif key not in read:
            dead[key] = "never reads it"
    live = {
        path
        for key, inner in read.items()
        if key not in dead
        for path in (key, *(f"{key}.{name}" for name in inner))
    }  # fmt: skip
    types = fallback | {key: option["type"] for key, option in options.items() if "type" in option}
    for key, default in defaults.items():
        types |= {f"{key}.{name}": type(value) for name, value in default.items()} if isinstance(default, dict) else {}
        types |= {} if default is None else {key: type(default)}
    return TrainerKeys(
        live=frozenset(live),
        dead=dead,
        types={key: kind for key, kind in types.items() if key in live},
        choices={key: option["choices"] for key, option in options.items() if "choices" in option},
        defaults=defaults,
        optimizers=_optimizers(lora.tree),
    )


def optimizer_options(name: str, keys: TrainerKeys) -> dict[str, inspect.Parameter]:
    """What an optimizer takes in `optimizer_config`, from its own signature."""
    import mlx.optimizers

    made = inspect.signature(getattr(mlx.optimizers, keys.optimizers[name])).parameters
    return {option: parameter for option, parameter in made.items() if option != "learning_rate"}


def optimizer_refuses(name: str, options: dict, keys: TrainerKeys) -> str | None:
    """What an optimizer with these options raises when it is made, or at its first update; None if it takes them."""
    import mlx.core as mx
    import mlx.optimizers

    try:
        with limited("one update takes more than 5 seconds", seconds=5):
            made = getattr(mlx.optimizers, keys.optimizers[name])(learning_rate=1e-5, **options)
            mx.eval(made.apply_gradients({"a": mx.ones((2, 2))}, {"a": mx.zeros((2, 2))}), made.state)
    except Exception as error:  # an optimizer raises all kinds at unsuitable options
        pass_on(error)
        return f"{type(error).__name__}: {cut(' '.join(str(error).split()), 150)}"
    return None


# --- reading the source ---------------------------------------------------------------------


class _Module:
    def __init__(self, path: Path):
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.functions = {node.name: node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef)}
        self.imports = {
            (name.asname or name.name): (node.level, node.module, name.name)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and node.level and node.module
            for name in node.names
        }
        self.constants = {}
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    self.constants[node.targets[0].id] = ast.literal_eval(node.value)
                except ValueError:
                    pass  # not a constant


def _module(path: Path, modules: dict[Path, _Module]) -> _Module | None:
    if path not in modules and path.is_file():
        modules[path] = _Module(path)
    return modules.get(path)


class _Reader:
    """Follows a mapping through functions.

    A variable's binding is (tree of the keys read from it, whether its keys are attributes); keys of a plain
    dictionary are read as `x["key"]`.
    """

    def __init__(self, package: Path, modules: dict, types: dict[str, type]):
        self.package, self.modules, self.types = package, modules, types

    def follow(self, module: _Module, function: ast.FunctionDef, bindings: dict, seen: set) -> None:
        mark = (module.path, function.lineno, *((name, id(tree)) for name, (tree, _) in sorted(bindings.items())))
        if mark not in seen:
            seen.add(mark)
            for statement in function.body:
                self._visit(module, statement, bindings, seen)

    def _visit(self, module, node, bindings, seen) -> None:
        if isinstance(node, ast.FunctionDef):
            inner = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
            bindings = {name: value for name, value in bindings.items() if name not in inner}
        elif isinstance(node, ast.For):
            self._bind(node.target, node.iter, bindings)
        elif isinstance(node, ast.Assign):
            self._bind(node.targets[0], node.value, bindings)
        elif isinstance(node, ast.NamedExpr):
            self._bind(node.target, node.value, bindings)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            # `from datasets import load_dataset` hides the function of that name in this package.
            bindings |= {name.asname or name.name: None for name in node.names}
        elif isinstance(node, ast.Call):
            self._call(module, node, bindings, seen)
        if isinstance(node, ast.expr):
            self._denoted(node, bindings)
        for child in ast.iter_child_nodes(node):
            self._visit(module, child, bindings, seen)

    def _bind(self, target, value, bindings) -> None:
        found = self._denoted(value, bindings)
        if isinstance(target, ast.Name) and found:
            bindings[target.id] = found

    def _denoted(self, node, bindings) -> tuple[dict, bool] | None:
        """The binding of an expression; adds any key that it reads to the tree."""
        match node:
            case ast.Name(id=name):
                return bindings.get(name)
            case ast.Attribute(value=value, attr=key, ctx=ast.Load()):
                base = self._denoted(value, bindings)
                return self._key(base, key) if base and base[1] else None
            case ast.Subscript(value=value, slice=ast.Constant(value=str(key)), ctx=ast.Load()):
                return self._key(self._denoted(value, bindings), key)
            case ast.Call(func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(key)), *default]):
                found = self._key(self._denoted(value, bindings), key)
                if found and default and isinstance(default[0], ast.Constant) and isinstance(default[0].value, str):
                    self.types[key] = str
                return found
            case ast.Call(func=ast.Attribute(value=value, attr="get"), args=[ast.Constant(value=str(key)), *_]):
                return self._key(self._denoted(value, bindings), key)
            case ast.Call(func=ast.Attribute(attr="SimpleNamespace"), keywords=[ast.keyword(arg=None, value=value)]):
                base = self._denoted(value, bindings)
                return base and (base[0], True)
            case ast.List(elts=[only]) | ast.Tuple(elts=[only]):
                return self._denoted(only, bindings)
        return None

    @staticmethod
    def _key(base, key) -> tuple[dict, bool] | None:
        return base and (base[0].setdefault(key, {}), False)

    def _call(self, module, node, bindings, seen) -> None:
        if not isinstance(node.func, ast.Name) or node.func.id in bindings:
            return
        where, function = module, module.functions.get(node.func.id)
        if function is None and node.func.id in module.imports:
            level, name, original = module.imports[node.func.id]
            folder = module.path.parents[level - 1]
            where = _module(folder.joinpath(*name.split(".")).with_suffix(".py"), self.modules)
            function = where and where.functions.get(original)
        if function is None:
            return
        parameters = [argument.arg for argument in function.args.args]
        given = dict(zip(parameters, node.args)) | {keyword.arg: keyword.value for keyword in node.keywords}
        handed = {name: self._denoted(value, bindings) for name, value in given.items() if name}
        handed = {name: value for name, value in handed.items() if value}
        if handed:
            self.follow(where, function, handed, seen)


def _options(function: ast.FunctionDef) -> dict[str, dict]:
    """The options of an argparse parser: name -> {"default", "type", "choices"}, each if given."""
    found = {}
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(attr="add_argument"), args=flags, keywords=keywords):
                names = [flag.value for flag in flags if isinstance(flag, ast.Constant)]
                name = next((name for name in names if name.startswith("--")), names[0])
                option = {}
                for keyword in keywords:
                    match keyword:
                        case ast.keyword(arg="type", value=ast.Name(id=kind)) if kind in TYPES:
                            option["type"] = TYPES[kind]
                        case ast.keyword(arg="action", value=ast.Constant(value="store_true")):
                            option["type"] = bool
                            option.setdefault("default", False)  # argparse's own
                        case ast.keyword(arg="default", value=ast.Constant(value=default)):
                            option["default"] = default
                        case ast.keyword(arg="choices", value=ast.List(elts=elements)):
                            option["choices"] = tuple(ast.literal_eval(element) for element in elements)
                found[name.lstrip("-").replace("-", "_")] = option
    return found


def _optimizers(tree: ast.Module) -> dict[str, str]:
    """{"adam": "Adam"} from `if optimizer_name == "adam": opt_class = optim.Adam`."""
    found = {}
    for node in ast.walk(tree):
        match node:
            case ast.If(
                test=ast.Compare(ops=[ast.Eq()], comparators=[ast.Constant(value=str(name))]),
                body=[ast.Assign(value=ast.Attribute(value=ast.Name(id="optim"), attr=kind)), *_],
            ):
                found[name] = kind
    return found
