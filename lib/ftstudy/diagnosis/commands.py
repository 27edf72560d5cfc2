"""The commands that apply a cause's fix, where a command can, and that measure again whether it helped."""

import shlex

from .. import repair


def of(cause: dict, found: dict) -> dict:
    """`apply` and `prove` of a cause; empty where no command does it, or nothing is to be done."""
    trained, given = found["trained"], found["given"]
    if cause["kind"] == "note" or not given:
        return {"apply": "", "prove": ""}
    make = APPLY.get(cause["id"]) if trained else None
    apply = make(trained, found) if make else ""
    if not apply and _is_repaired(cause):
        return {"apply": _fix(found), "prove": _prove_fixed(cause, found)}
    measures = apply.startswith("make report")  # a report of its own would train as before
    return {"apply": apply, "prove": apply if measures else _prove(cause, found)}


def _is_repaired(cause: dict) -> bool:
    """Whether `ftstudy fix` takes away what the audit found, or a rate that did harm."""
    return cause["id"] == "learning_rate" or not {check for one in repair.REPAIRS for check in one.checks}.isdisjoint(
        cause["checks"]
    )


def _copy(found: dict) -> str:
    return f"reports/{found['run']}/fixed" if found["run"] else "fixed"


def _fix(found: dict) -> str:
    options = _options(_inputs(found) | ({"run": found["run"]} if found["run"] else {"out": _copy(found)}))
    return _line("ftstudy", "fix", found["given"]["config"], *options)


def _prove_fixed(cause: dict, found: dict) -> str:
    """The audit of the copy for what makes a run void; otherwise trainings with and without each fault."""
    if cause["kind"] == "void":
        return _line("ftstudy", "audit", "--config", f"{_copy(found)}/config.yaml")
    return _line("ftstudy", "prove", found["given"]["config"], *_options(_inputs(found) | {"run": found["run"]}))


def _inputs(found: dict) -> dict:
    return {name: found["given"][name] for name in ("data", "model")} | {"inference": found["inference"]}


def _prove(cause: dict, found: dict) -> str:
    """The audit for what makes a run void; otherwise the whole study, which measures too."""
    if cause["kind"] == "void":
        return _line("ftstudy", "audit", *_options({"config": found["given"]["config"]} | _shared(found)))
    return again(found)


def again(found: dict) -> str:
    """The command that makes this run's study again; empty if it isn't known how the run was asked for."""
    given = found["given"]
    if not given:
        return ""
    if given["existing"]:
        return _line("ftstudy", "diagnose", given["config"], *_options(_shared(found) | {"run": found["run"]}))
    return _report(found)


def _shared(found: dict) -> dict:
    given = found["given"]
    return _inputs(found) | ({name: given[name] for name in ("adapter", "fused")} if given["existing"] else {})


def _report(found: dict, **more) -> str:
    words = {"run": found["run"], "config": found["given"]["config"]} | _shared(found)
    words |= {"fused": found["given"]["fused"]} | more
    return _line("make", "report", *(f"{name.upper()}={value}" for name, value in words.items() if value))


def _longer(trained: dict, found: dict) -> str:
    once = round(trained["iterations"] / trained["epochs"]) if trained["epochs"] else 0
    return longer(trained, found, max(2 * trained["iterations"], once))


def longer(trained: dict, found: dict, iterations: int) -> str:
    """The command that trains for so many iterations; empty if it isn't known how the run was asked for."""
    if not found["given"]:
        return ""
    if not found["given"]["existing"]:
        return _report(found, iters=iterations)
    return _train(trained, found, "--iters", iterations)


def _slower(trained: dict, found: dict) -> str:
    """Empty where the study trains: the rate is changed in the config."""
    rate = trained.get("learning_rate")
    if not found["given"]["existing"] or not isinstance(rate, int | float):
        return ""
    return _train(trained, found, "--learning-rate", f"{rate / 10:g}")


def _train(trained: dict, found: dict, *words) -> str:
    return _line("mlx_lm.lora", "--config", found["given"]["config"], "--train", "--data", trained["data"], *words)


def _checkpoint(trained: dict, found: dict) -> str:
    keep, folder = trained["checkpoints"]["keep"], trained["adapter"]
    return _line("cp", f"{folder}/{keep:07d}_adapters.safetensors", f"{folder}/adapters.safetensors")


def _fuse(trained: dict, found: dict) -> str:
    folders = ("--model", trained["model"], "--adapter-path", trained["adapter"], "--save-path", "fused_again")
    return _line("mlx_lm.fuse", *folders, "--dequantize")


APPLY = {
    "under_trained": _longer,
    "learning_rate": _slower,
    "over_fitted": _checkpoint,
    "wrong_checkpoint": _checkpoint,
    "fusing": _fuse,
}


def _options(given: dict) -> list[str]:
    return [part for name, value in given.items() if value for part in (f"--{name}", value)]


def _line(*words) -> str:
    return shlex.join(str(word) for word in words)
