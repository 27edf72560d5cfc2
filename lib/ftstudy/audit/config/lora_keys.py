"""`lora_parameters.keys`: the modules to adapt, by names that differ from family to family."""

from collections.abc import Iterator

from .. import architecture
from ..findings import Check, Finding
from .values import enumerated, shown_key, shown_line

KEYS = Check(
    "config.lora_keys",
    ("error", "warning"),
    meaning="`lora_parameters.keys` names modules that the model, or its trained layers, don't have, or that can't be "
    "adapted.",
    cause="mlx-lm compares a key with the full name of a module inside a layer, such as self_attn.q_proj.",
    fix="Write names such as self_attn.q_proj, or delete `keys` to adapt all linear layers.",
    bad="lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [q_proj, v_proj]}",
    good="lora_parameters: {rank: 8, scale: 2.0, dropout: 0.0, keys: [self_attn.q_proj, self_attn.v_proj]}",
)
CHECKS = (KEYS,)
# The last parts of the names that model families give to one and the same linear layer.
SAME = (
    {"q_proj", "wq", "query", "q"},
    {"k_proj", "wk", "key", "k"},
    {"v_proj", "wv", "value", "v"},
    {"o_proj", "out_proj", "wo", "dense", "o"},
    {"gate_proj", "w1", "gate"},
    {"up_proj", "w3", "fc1", "up", "c_fc"},
    {"down_proj", "w2", "fc2", "down", "fc_out"},
)
# Some families compute several of these in one layer.
JOINED = {
    "qkv_proj": {"q_proj", "k_proj", "v_proj"},
    "query_key_value": {"q_proj", "k_proj", "v_proj"},
    "Wqkv": {"q_proj", "k_proj", "v_proj"},
    "c_attn": {"q_proj", "k_proj", "v_proj"},
    "gate_up_proj": {"gate_proj", "up_proj"},
}
MOST = 12  # names in a message


def check(inputs, keys, num_layers: int) -> Iterator[Finding]:
    """Findings on the keys that mlx-lm would find nothing for, or nothing that can be adapted."""
    if keys is None:
        return
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        yield _found(
            keys,
            "error",
            "`lora_parameters.keys` is not a list of names",
            cause="mlx-lm asks whether each module's name is in `keys`; in a text, any part of it matches.",
            fix="Write a list, such as [self_attn.q_proj, self_attn.v_proj].",
        )
        return
    model = architecture.skeleton(inputs.model)
    if model is None:
        unmatched = [key for key in keys if "." not in key and key != "lm_head"]
        if unmatched or not keys:
            yield _unmatched(keys, unmatched, "error", None)
        return
    known = architecture.module_names(model, num_layers)
    others = {name for root in architecture.roots(model, num_layers) for name, _ in root.named_modules()} - known
    unmatched = [key for key in keys if key not in known and key not in others]
    if fixed := [key for key in keys if key in others]:
        yield _found(
            keys,
            "error",
            f"`lora_parameters.keys` names modules that cannot be adapted: {_some(fixed)}",
            cause="LoRA adapts linear layers and embeddings; mlx-lm aborts at a key of any other module.",
            fix="Delete them, or name the linear layers inside, such as self_attn.q_proj.",
        )
    elif unmatched or not keys:
        severity = "error" if len(unmatched) == len(keys) else "warning"
        yield _unmatched(keys, unmatched, severity, _advice(model, num_layers, unmatched))


def _found(keys, severity: str, title: str, **texts) -> Finding:
    return KEYS.found(severity, title, evidence=shown_line("keys", keys), **texts)


def _unmatched(keys: list, unmatched: list[str], severity: str, advice: tuple[str, str] | None) -> Finding:
    nothing = len(unmatched) == len(keys)
    then = "Without a match there is no adapter, and nothing to train." if nothing else "Only the others are trained."
    what = "`lora_parameters.keys` matches no module" if nothing else "Some of `lora_parameters.keys` match no module"
    cause, fix = advice or (KEYS.cause, None)
    return _found(keys, severity, what + f": {_some(unmatched)}" * bool(unmatched), cause=f"{cause} {then}", fix=fix)


def _advice(model, num_layers: int, unmatched: list[str]) -> tuple[str, str]:
    """Why keys match nothing in this model, and what to write."""
    there, total = architecture.layers_of_modules(model), len(model.layers)
    earlier, here = [key for key in unmatched if key in there], names(model, num_layers)
    own = f"The linear layers {'of the trained layers' if earlier else 'of this model'} are {_some(here, MOST)}."
    fixes = []
    if earlier:
        needed = total - min(max(there[key]) for key in earlier)
        cause = (
            f"{_some(earlier)} {'is' if len(earlier) == 1 else 'are'} in {_numbers(there[earlier[0]], total)}, but "
            f"`num_layers: {num_layers}` adapts only the last{f' {num_layers} layers' if num_layers > 1 else ' layer'}."
        )
        fixes.append(f"Raise `num_layers` to {needed} or more, or name modules that the trained layers have.")
    else:
        cause = KEYS.cause
    meant = {key: modules_meant(key, here) for key in unmatched if key not in earlier}
    if pairs := [f"{', '.join(own)} for {shown_key(key)}" for key, own in meant.items() if own]:
        fixes.append(f"Write {'; '.join(pairs)}.")
    return cause, " ".join([*fixes, own, "Without `keys` all of them are adapted."])


def names(model, num_layers: int) -> list[str]:
    """The names of the linear layers of the trained layers, as `keys` takes them."""
    there, total = architecture.layers_of_modules(model), len(model.layers)
    return sorted(name for name, at in there.items() if max(at) >= total - max(num_layers, 1) or num_layers <= 0)


def modules_meant(key: str, names: list[str]) -> list[str]:
    """The model's own names of what a key means in other families; [] if there is none."""
    key = key.removesuffix(".weight")
    last = key.rpartition(".")[2]
    exact = [name for name in names if name.rpartition(".")[2] == last]
    if exact:
        return [name for name in exact if name.endswith(f".{key}")] or exact
    same = next((group for group in SAME if last in group), {last})
    other = [name for name in names if name.rpartition(".")[2] in same]
    # A name such as `w1` or `out_proj` may be in several parts of a layer: take the part that the key names.
    part = "attn" if same & {"q_proj", "k_proj", "v_proj", "o_proj"} else ""
    other = [name for name in other if part in name] or other
    return other or [name for name in names if JOINED.get(name.rpartition(".")[2], set()) & same]


def _some(names: list[str], most: int = 5) -> str:
    return ", ".join(map(shown_key, names[:most])) + ", …" * (len(names) > most)


def _numbers(layers: list[int], total: int) -> str:
    if len(layers) > MOST:
        return f"{len(layers)} of the {total} layers, the last of them {layers[-1]} (counted from 0)"
    return f"layer{'s' * (len(layers) > 1)} {enumerated(list(map(str, layers)))} of {total} (counted from 0)"
