"""The commands that apply a cause's fix, where a command can, and that measure again whether it helped."""

import shlex


def of(cause: dict, found: dict) -> dict:
    """`apply` and `prove` of a cause; empty where no command does it, or nothing is to be done."""
    trained, given = found["trained"], found["given"]
    if cause["kind"] == "note" or not given:
        return {"apply": "", "prove": ""}
    make = APPLY.get(cause["id"]) if trained else None
    return {"apply": make(trained, given) if make else "", "prove": _prove(cause, found)}


def _prove(cause: dict, found: dict) -> str:
    """The audit for what makes a run void; otherwise the whole study, which measures too."""
    given, run = found["given"], found["run"]
    shared = {name: given[name] for name in ("data", "model")} | {"inference": found["inference"]}
    if given["existing"]:
        shared |= {"adapter": given["adapter"], "fused": given["fused"]}
    if cause["kind"] == "void":
        return _line("ftstudy", "audit", *_options({"config": given["config"]} | shared))
    if given["existing"]:
        return _line("ftstudy", "diagnose", given["config"], *_options(shared | {"run": run}))
    words = {"run": run, "config": given["config"]} | shared | {"fused": given["fused"]}
    return _line("make", "report", *(f"{name.upper()}={value}" for name, value in words.items() if value))


def _longer(trained: dict, given: dict) -> str:
    once = round(trained["iterations"] / trained["epochs"]) if trained["epochs"] else 0
    return _train(given, "--iters", max(2 * trained["iterations"], once))


def _slower(trained: dict, given: dict) -> str:
    rate = trained.get("learning_rate")
    return _train(given, "--learning-rate", f"{rate / 10:g}") if isinstance(rate, int | float) else ""


def _train(given: dict, *words) -> str:
    more = ("--data", given["data"]) if given["data"] else ()
    return _line("mlx_lm.lora", "--config", given["config"], "--train", *more, *words)


def _checkpoint(trained: dict, given: dict) -> str:
    keep, folder = trained["checkpoints"]["keep"], trained["adapter"]
    return _line("cp", f"{folder}/{keep:07d}_adapters.safetensors", f"{folder}/adapters.safetensors")


def _fuse(trained: dict, given: dict) -> str:
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
