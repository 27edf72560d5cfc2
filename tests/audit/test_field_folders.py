"""Other people's folders: adapters of other programs, files under other names, base models, apps. From public failure
stories, rebuilt small: the audit has to name the cause, and a fix that can be followed there.

The rows of such stories are in `test_field_cases`.
"""

import importlib.util
import json
import subprocess
from types import SimpleNamespace

import mlx.core as mx
import numpy
import pytest
import yaml
from faults import conversations
from ftstudy import audit, cli
from ftstudy.errors import StudyError
from mlx.utils import tree_flatten, tree_map
from mlx_lm import utils
from mlx_lm.tuner.utils import load_adapters
from templates import tokenizer_folder

SIZES = {"train": 40, "valid": 8, "test": 8}
LORA = {"rank": 8, "scale": 2.0, "dropout": 0.0}
WEIGHTS, CONFIG, OF_PEFT = "adapters.safetensors", "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A user's own project folder, entered: a model, rows and a config that are fine."""
    monkeypatch.chdir(tmp_path)

    def configure(**changes):
        path = tmp_path / "config.yaml"
        known = yaml.safe_load(path.read_text()) if path.is_file() else {}
        config = {key: value for key, value in (known | changes).items() if value is not None}
        path.write_text(yaml.safe_dump(config), encoding="utf-8")

    def run(**more):
        return audit.audit("config.yaml", **more)

    def findings(**more):
        """The findings above info, by check."""
        found = [one for one in run(**more)["findings"] if one["severity"] != "info"]
        by_check = {one["check"]: SimpleNamespace(**one) for one in found}
        assert len(by_check) == len(found), found
        return by_check

    def only(check, severity, **more):
        found = findings(**more)
        assert {name: one.severity for name, one in found.items()} == {check: severity}, found
        return found[check]

    tokenizer_folder("chatml", tmp_path / "model", layers=2)
    splits, _ = conversations.dataset("texter", SIZES, "plain", True, 0)
    write_rows(tmp_path / "data", splits)
    configure(
        model="model", data="data", adapter_path="adapters", train=True, batch_size=4, iters=20, learning_rate=1e-4,
        num_layers=2, mask_prompt=True, steps_per_eval=10, save_every=10, lora_parameters=LORA,
    )  # fmt: skip
    return SimpleNamespace(folder=tmp_path, configure=configure, audit=run, findings=findings, only=only, rows=splits)


def write_rows(folder, splits):
    folder.mkdir(exist_ok=True)
    for name, rows in splits.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


# --- adapters that cannot be read ---------------------------------------------------------------

MODULES = {"self_attn.q_proj": (16, 16), "self_attn.v_proj": (16, 16), "mlp.down_proj": (32, 16)}  # inputs, outputs


def lora_tensors(prefix="model."):
    random = numpy.random.default_rng(3)
    shapes = {
        f"{prefix}layers.{layer}.{name}.lora_{part}": shape
        for layer in (0, 1)
        for name, (inputs, outputs) in MODULES.items()
        for part, shape in (("a", (inputs, 8)), ("b", (8, outputs)))
    }
    return {name: mx.array(random.normal(0, 0.1, shape).astype("float32")) for name, shape in shapes.items()}


def peft_tensors():
    return {f"base_model.model.{name[:-1]}{name[-1].upper()}.weight": value.T for name, value in lora_tensors().items()}


def adapter(user, tensors=None, name=WEIGHTS, **changes):
    """An adapter of mlx-lm's that is fine, or what `tensors` and `changes` of its config make of it."""
    folder = user.folder / "adapters"
    folder.mkdir(exist_ok=True)
    lora = LORA | {"keys": [*MODULES]}
    config = yaml.safe_load((user.folder / "config.yaml").read_text()) | {"lora_parameters": lora} | changes
    (folder / CONFIG).write_text(json.dumps(config))
    mx.save_safetensors(str(folder / name), lora_tensors() if tensors is None else tensors)
    user.configure(lora_parameters=lora)
    return folder


PEFT_CONFIG = {
    "peft_type": "LORA", "r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "task_type": "CAUSAL_LM",
    "target_modules": ["q_proj", "v_proj", "down_proj"], "base_model_name_or_path": "someone/model",
}  # fmt: skip


def test_an_adapter_of_mlx_lm_has_no_findings(user):
    adapter(user)
    assert user.findings() == {}


def test_18_an_adapter_of_peft_is_called_that_and_kept(user):
    folder = adapter(user, peft_tensors(), OF_PEFT)
    (folder / CONFIG).write_text(json.dumps(PEFT_CONFIG))
    found = user.only("adapter.format", "warning")
    assert "PEFT adapter (LORA, rank 8, scale 2)" in found.title
    assert "transpose both" in found.fix and "scale: 2" in found.fix and "train again" not in found.fix.lower()


def test_19_keys_that_name_no_module_are_quoted_with_those_of_the_weights(user):
    adapter(user, lora_parameters=LORA | {"keys": ["auto"]})
    found = user.findings()["adapter.keys"]
    assert found.severity == "error" and '`keys: ["auto"]`' in found.title
    assert all(name in found.fix for name in MODULES) and "rain again" not in found.fix


def test_83_weights_of_an_older_mlx_are_named_with_the_command_that_converts_them(user):
    folder = adapter(user)
    numpy.savez(folder / "adapters.npz", **{name: numpy.array(value) for name, value in lora_tensors().items()})
    (folder / WEIGHTS).unlink()
    (folder / CONFIG).unlink()
    found = user.only("adapter.format", "error")
    assert "adapters.npz" in found.title and "mx.save_safetensors('adapters/adapters.safetensors'" in found.fix
    assert '"rank": 8' in found.fix and "self_attn.q_proj" in found.fix


@pytest.mark.parametrize("name", ["adapters.npz", "adapters.safetensors"])
def test_83_a_file_as_adapter_path_names_its_folder(user, name):
    folder = adapter(user)
    (folder / name).touch()
    user.configure(adapter_path=f"adapters/{name}")
    assert "`adapter_path: adapters`" in user.only("config.path", "error").fix


def renamed_weights(folder):
    (folder / WEIGHTS).rename(folder / "0000010_adapters.safetensors")


def whole(folder, data):
    (folder / WEIGHTS).write_bytes(data)


def cut_off(folder):
    whole(folder, (folder / WEIGHTS).read_bytes()[:-100])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 26214400\n"
UNREADABLE = {
    "only numbered checkpoints": (
        renamed_weights,
        "warning",
        "no numbered checkpoint by itself",
        "cp adapters/0000010_adapters.safetensors adapters/adapters.safetensors",
    ),
    "no adapter_config.json": (
        lambda folder: (folder / CONFIG).unlink(),
        "error",
        "how to apply the weights",
        '"rank": 8',
    ),
    "a pointer of Git LFS": (lambda folder: whole(folder, POINTER), "error", "pointer of Git LFS", "git lfs pull"),
    "a web page": (lambda folder: whole(folder, b"<!DOCTYPE html><html>"), "error", "web page", "Download the file"),
    "a pickle under another name": (
        lambda folder: whole(folder, b"PK\x03\x04" + bytes(80)),
        "error",
        "PyTorch",
        "Save",
    ),
    "an empty file": (lambda folder: whole(folder, b""), "error", "is empty", "Copy the files again"),
    "a file that is cut off": (cut_off, "error", "is cut off", "Copy the files again"),
    "a config that is cut off": (
        lambda folder: (folder / CONFIG).write_text('{"num_layers": 2,'),
        "error",
        "only partly saved",
        "Copy the files again",
    ),
}


@pytest.mark.parametrize("spoil, severity, cause, fix", UNREADABLE.values(), ids=UNREADABLE)
def test_each_adapter_that_cannot_be_read_has_its_own_cause(user, spoil, severity, cause, fix):
    spoil(adapter(user))
    found = user.only("adapter.unreadable", severity)
    assert cause in found.cause and fix in found.fix


OTHER_FORMS = {
    "PEFT's tensors under mlx-lm's name": (peft_tensors, "tensors of PEFT", "transpose both"),
    "names converted, shapes not": (
        lambda: {name: value.T for name, value in lora_tensors().items()},
        "transposed",
        "Transpose every",
    ),
    "names of a wrapped model": (lambda: lora_tensors("language_model.model."), "begin with", "“model.layers…”"),
}


@pytest.mark.parametrize("tensors, title, fix", OTHER_FORMS.values(), ids=OTHER_FORMS)
def test_tensors_of_another_program_in_mlx_lms_file_are_called_that(user, tensors, title, fix):
    folder = adapter(user, tensors())
    found = user.only("adapter.format", "error")
    assert title in found.title and fix in found.fix
    with pytest.raises(ValueError, match="incompatible tensors"):
        load_adapters(utils.load_model(user.folder / "model")[0], str(folder))


# --- LoRA's settings ----------------------------------------------------------------------------


def test_45_alpha_next_to_a_scale_says_which_is_in_force_and_what_both_once_meant(user):
    user.configure(lora_parameters={"rank": 8, "alpha": 16, "scale": 10.0, "dropout": 0.0})
    found = user.only("config.lora_alpha", "warning")
    assert "`scale: 10` applies" in found.title
    assert "keep `scale: 10`" in found.fix and "scale × alpha / rank = 20" in found.fix


def lfm2(user, attention):
    """The model becomes one of LFM2's family: four layers, attention in some, convolution in the others."""
    words = json.loads((user.folder / "model" / CONFIG_OF_MODEL).read_text())["vocab_size"]
    kinds = ["full_attention" if at in attention else "conv" for at in range(4)]
    config = {
        "model_type": "lfm2", "vocab_size": words, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "norm_eps": 1e-5, "conv_bias": False,
        "conv_L_cache": 3, "block_dim": 32, "block_ff_dim": 64, "block_multiple_of": 16, "rope_theta": 10000.0,
        "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": False, "full_attn_idxs": attention,
        "layer_types": kinds,
    }  # fmt: skip
    return of_family(user, config)


CONFIG_OF_MODEL = "config.json"


def of_family(user, config):
    """The model gets another architecture, with random weights."""
    folder = user.folder / "model"
    known = json.loads((folder / CONFIG_OF_MODEL).read_text())
    (folder / CONFIG_OF_MODEL).write_text(json.dumps(config | {"eos_token_id": known["eos_token_id"]}))
    classes, arguments = utils._get_classes(config)
    made = classes(arguments.from_dict(config))
    random = tree_map(lambda value: mx.random.normal(value.shape) * 0.1, made.parameters())
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(random)), {"format": "mlx"})


LLAMAS = [f"self_attn.{part}_proj" for part in "qkvo"] + [f"mlp.{part}_proj" for part in ("gate", "up", "down")]


def test_59_names_of_another_family_are_translated_into_this_models(user):
    lfm2(user, [1, 3])
    user.configure(num_layers=4, lora_parameters=LORA | {"keys": LLAMAS})
    found = user.only("config.lora_keys", "warning")
    assert "self_attn.out_proj for self_attn.o_proj" in found.fix
    assert "feed_forward.w1 for mlp.gate_proj" in found.fix and "feed_forward.w2 for mlp.down_proj" in found.fix
    assert "self_attn.q_proj for" not in found.fix and "conv.in_proj" in found.fix


def test_59_keys_of_layers_that_are_not_trained_ask_for_more_layers(user):
    lfm2(user, [0, 2])
    user.configure(num_layers=1, lora_parameters=LORA | {"keys": ["self_attn.q_proj", "self_attn.v_proj"]})
    found = user.only("config.lora_keys", "error")
    assert "layers 0 and 2 of 4" in found.cause and "only the last layer" in found.cause
    assert "Raise `num_layers` to 2 or more" in found.fix and "conv.in_proj" in found.fix
    user.configure(num_layers=2)
    assert user.findings() == {}


def test_59_a_convolution_cannot_be_adapted(user):
    lfm2(user, [1, 3])
    user.configure(num_layers=4, lora_parameters=LORA | {"keys": ["conv.conv", "self_attn.q_proj"]})
    assert "cannot be adapted: conv.conv" in user.only("config.lora_keys", "error").title


def test_59_every_name_in_a_fix_matches_a_module(user):
    """Phi-3 joins what other families keep apart."""
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 2}
    words = json.loads((user.folder / "model" / CONFIG_OF_MODEL).read_text())["vocab_size"]
    config = {"model_type": "phi3", "vocab_size": words, "hidden_size": 32, "intermediate_size": 64}
    of_family(user, config | heads | {"rms_norm_eps": 1e-5, "max_position_embeddings": 2048, "rope_theta": 10000.0,
                                      "original_max_position_embeddings": 2048})  # fmt: skip
    user.configure(lora_parameters=LORA | {"keys": ["self_attn.q_proj", "mlp.gate_proj"]})
    fix = user.only("config.lora_keys", "error").fix
    assert "self_attn.qkv_proj for self_attn.q_proj" in fix and "mlp.gate_up_proj for mlp.gate_proj" in fix
    user.configure(lora_parameters=LORA | {"keys": ["self_attn.qkv_proj", "mlp.gate_up_proj"]})
    assert user.findings() == {}


# --- base models --------------------------------------------------------------------------------


def without_template(user, name="model"):
    folder = user.folder / "model"
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    folder.rename(user.folder / name)
    user.configure(model=name)


@pytest.mark.parametrize("inference", [None, {"kind": "messages"}])
def test_01_a_base_model_without_a_chat_template_is_called_that_and_nothing_else(user, inference):
    without_template(user, "Llama-3.2-1B")
    found = user.only("model.no_template", "error", inference=inference)
    assert "Llama-3.2-1B has no chat template: it is a base model" in found.title and "-Instruct" in found.fix


def test_01_of_completions_too_and_of_a_tuned_model_the_template_was_lost(user):
    pairs = {name: [dict(zip(("prompt", "completion"), (turn["content"] for turn in row["messages"][-2:]))) for row in rows]
             for name, rows in user.rows.items()}  # fmt: skip
    write_rows(user.folder / "data", pairs)
    without_template(user, "gemma-2-2b-it-4bit")
    found = user.only("model.no_template", "error")
    assert "base model" not in found.title and "Copy chat_template.jinja" in found.fix


def test_01_rows_of_text_need_no_template(user):
    texts = {name: [{"text": " ".join(turn["content"] for turn in row["messages"])} for row in rows]
             for name, rows in user.rows.items()}  # fmt: skip
    write_rows(user.folder / "data", texts)
    without_template(user)
    user.configure(mask_prompt=False)
    assert user.findings() == {}


END = "<|im_end|>"


def end_row(user, change, matrix="model.embed_tokens.weight"):
    """What `change(matrix, row)` makes of the end token's row."""
    folder = user.folder / "model"
    number = json.loads((folder / CONFIG_OF_MODEL).read_text())["eos_token_id"]
    weights = {name: numpy.array(value) for name, value in mx.load(str(folder / "model.safetensors")).items()}
    if matrix not in weights:
        weights[matrix] = numpy.random.default_rng(5).normal(0, 0.1, weights["model.embed_tokens.weight"].shape)
        config = json.loads((folder / CONFIG_OF_MODEL).read_text()) | {"tie_word_embeddings": False}
        (folder / CONFIG_OF_MODEL).write_text(json.dumps(config))
    weights[matrix][number] = change(weights[matrix], number)
    made = {name: mx.array(value.astype("float32")) for name, value in weights.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), made, {"format": "mlx"})


UNTRAINED = {
    "zero": (lambda matrix, row: 0 * matrix[row], "almost zero"),
    "very small": (lambda matrix, row: 1e-3 * matrix[row], "almost zero"),
    "as another special token": (lambda matrix, row: matrix[row - 1] + 1e-5, "the same as that of 1 other token"),
    "the mean": (lambda matrix, row: matrix.mean(axis=0) + 1e-4, "almost zero"),
    "the mean of rows with a common part": (
        lambda matrix, row: numpy.add(matrix, 0.2, out=matrix).mean(axis=0),
        "the mean of all rows",
    ),
}


@pytest.mark.parametrize("change, like", UNTRAINED.values(), ids=UNTRAINED)
def test_an_end_token_that_a_base_model_never_learned_and_lora_cannot_reach(user, change, like):
    end_row(user, change)
    found = user.only("model.untrained_end", "warning")
    assert END in found.title and like in found.cause and "-Instruct" in found.fix
    assert "self_attn.q_proj" in found.fix and found.fix.endswith("model.embed_tokens]` below lora_parameters.")


def test_the_matrix_is_reached_by_its_own_key_and_by_no_other_setting(user):
    end_row(user, lambda matrix, row: 0 * matrix[row], "lm_head.weight")
    assert "lm_head.weight" in user.only("model.untrained_end", "warning").evidence[0]
    user.configure(lora_parameters=LORA | {"keys": ["self_attn.q_proj", "model.embed_tokens"]})
    assert "[self_attn.q_proj, model.embed_tokens, lm_head]" in user.only("model.untrained_end", "warning").fix
    user.configure(fine_tune_type="full", lora_parameters=None)
    assert "`fine_tune_type: full`" in user.only("model.untrained_end", "warning").cause
    user.configure(fine_tune_type="lora", lora_parameters=LORA | {"keys": ["self_attn.q_proj", "lm_head"]})
    assert user.findings() == {}


def test_an_untrained_embedding_alone_or_another_tokens_row_is_nothing(user):
    end_row(user, lambda matrix, row: matrix[row], "lm_head.weight")
    end_row(user, lambda matrix, row: 0 * matrix[row])
    assert user.findings() == {}


# --- files under other names and in other forms -------------------------------------------------


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def moved(user, old, new, form=lines):
    folder = user.folder / "data"
    (folder / old).unlink()
    (folder / new).write_text(form(user.rows[old.partition(".")[0]]), encoding="utf-8")


def follow(fix, folder):
    """Do what the command in a fix says, in the user's folder."""
    command = fix.split("`")[1]
    if command.startswith("ftstudy "):
        with pytest.raises(SystemExit, match="^0$"):
            cli.main(command.split()[1:])
        return command.split()[-1]
    subprocess.run(command, shell=True, cwd=folder, check=True)
    return "data"


def pretty(rows):
    return "\n".join(json.dumps(row, indent=2) for row in rows)


OTHER_FILES = {
    "28 val.jsonl": ([("valid.jsonl", "val.jsonl", lines)], "data.no_valid", "warning", ["val.jsonl", "Rename it"]),
    "28 dev.jsonl": ([("valid.jsonl", "dev.jsonl", lines)], "data.no_valid", "warning", ["dev.jsonl", "Rename it"]),
    "28b train.json and validation.jsonl": (
        [("train.jsonl", "train.json", lines), ("valid.jsonl", "validation.jsonl", lines)],
        "data.no_train",
        "error",
        ["train.json and validation.jsonl", "Rename them"],
    ),
    "28b an array in train.json": (
        [("train.jsonl", "train.json", json.dumps)], "data.no_train", "error", ["but train.json", "one row a line"]
    ),
    "29 pretty": ([("train.jsonl", "train.jsonl", pretty)], "data.bad_json", "error", ["40 rows", "over several lines"]),
    "29b an array": ([("train.jsonl", "train.jsonl", json.dumps)], "data.bad_json", "error", ["one JSON array", "40 rows"]),
    "29b an array over several lines": (
        [("valid.jsonl", "valid.jsonl", lambda rows: json.dumps(rows, indent=1))],
        "data.bad_json", "error", ["valid.jsonl is one JSON array", "8 rows"],
    ),
    "29b rows below a key": (
        [("train.jsonl", "train.jsonl", lambda rows: json.dumps({"data": rows}, indent=1))],
        "data.bad_json", "error", ["one JSON object around the rows", "40 rows"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("moves, check, severity, words", OTHER_FILES.values(), ids=OTHER_FILES)
def test_a_file_that_mlx_lm_overlooks_is_named_with_the_command_that_mends_it(user, moves, check, severity, words):
    for old, new, form in moves:
        moved(user, old, new, form)
    found = user.only(check, severity)
    told = f"{found.title} {found.fix} {found.evidence}"
    assert all(word in told for word in words) and "xtract" not in found.fix
    user.configure(data=follow(found.fix, user.folder))
    assert user.findings() == {}


def test_a_table_is_named_and_a_folder_inside_too(user):
    moved(user, "train.jsonl", "train.csv", lambda rows: "prompt,completion\nhey,yo\n")
    assert "Write the rows of train.csv as train.jsonl" in user.only("data.no_train", "error").fix
    (user.folder / "all").mkdir()
    moved(user, "train.csv", "train.jsonl")
    (user.folder / "data").rename(user.folder / "all" / "mine")
    user.configure(data="all")
    assert user.only("data.empty", "error").fix == "Set `data: all/mine`."
    user.configure(data="all/mine/train.jsonl")
    assert user.only("data.missing", "error").fix == "Set `data: all/mine`."


def test_extract_again_is_said_of_extracted_rows_only(user):
    (user.folder / "data" / "valid.jsonl").unlink()
    assert "xtract" not in user.only("data.no_valid", "warning").fix
    (user.folder / "data" / "origin.json").write_text('{"source": "chat.db", "owner": "Sam", "kind": "imessage"}')
    assert user.only("data.no_valid", "warning").fix.startswith("Extract the variant again")


def test_identifiers_are_masked_by_extracting_again_or_replaced_in_rows_of_another_origin(user):
    user.rows["train"][0]["messages"][-1]["content"] += " call +49 176 12345678"
    write_rows(user.folder / "data", user.rows)
    assert user.only("data.identifiers", "warning").fix.startswith("Replace them in your rows with placeholders")
    (user.folder / "data" / "origin.json").write_text('{"source": "chat.db", "owner": "Sam", "kind": "imessage"}')
    fix = user.only("data.identifiers", "warning").fix
    assert fix.startswith("Extract again with masking (without MASK=no") and "your rows" not in fix


def test_no_fix_sends_somebody_to_an_extraction_that_never_was():
    checks = [check for check in audit.checks() if "xtract" in check.fix and check.fix_extracted == ""]
    about_extracted_rows = {"splits.same_conversation", "splits.same_session"}
    assert {check.id for check in checks} <= {"data.missing"} | about_extracted_rows
    assert all("{" not in check.fix for check in audit.checks() if check.fix_extracted)


# --- paths --------------------------------------------------------------------------------------


def test_16_everything_counts_from_the_folder_that_one_stands_in(user, monkeypatch):
    (user.folder / "app.yaml").write_text("kind: messages\n")
    assert user.findings(inference="app.yaml") == {}
    elsewhere = user.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(StudyError, match="config.yaml"):
        audit.audit("config.yaml")
    monkeypatch.chdir(user.folder)
    absolute = audit.audit(str(user.folder / "config.yaml"), inference=str(user.folder / "app.yaml"))
    assert absolute["summary"] == user.audit(inference="app.yaml")["summary"]


# --- apps ---------------------------------------------------------------------------------------

CHATML = "<|im_start|>{}\n{}<|im_end|>\n"
MODELFILE = '''FROM ./robin-135m.gguf
SYSTEM """{system}"""
TEMPLATE """{template}"""
PARAMETER stop "<|im_end|>"
'''
WITH_SYSTEM = (
    CHATML.format("system", "{{ .System }}") + CHATML.format("user", "{{ .Prompt }}") + "<|im_start|>assistant\n"
)


def modelfile(user, template, stop=True):
    text = MODELFILE.format(system=user.rows["train"][0]["messages"][0]["content"], template=template)
    (user.folder / "Modelfile").write_text(text if stop else text.partition("PARAMETER")[0])


def test_22_a_modelfile_is_taken_as_it_is(user):
    modelfile(user, WITH_SYSTEM)
    assert user.findings(inference="Modelfile") == {}
    modelfile(user, WITH_SYSTEM.partition("\n")[2].partition("\n")[2])
    found = user.only("parity.default_system", "error", inference="Modelfile")
    assert "“Modelfile”" in found.title
    modelfile(user, WITH_SYSTEM, stop=False)
    assert user.only("parity.stop_missing", "warning", inference="Modelfile").fix.startswith("Add PARAMETER stop")
    (user.folder / "Modelfile").write_text("FROM ./robin-135m.gguf\n")
    with pytest.raises(StudyError, match="no TEMPLATE.*ollama show --modelfile"):
        user.findings(inference="Modelfile")


GEMMA = "<start_of_turn>user\n{context}<end_of_turn>\n<start_of_turn>model\n"


@pytest.mark.parametrize(
    "text, add_bos, check",
    [
        ("<bos>" + GEMMA, None, None),
        (GEMMA, None, None),
        ("<bos>" + GEMMA, True, "parity.bos"),  # the engine adds one, the template has one
        (GEMMA, True, None),
        ("<bos>" + GEMMA, False, None),
        (GEMMA, False, "parity.bos"),
    ],
)
def test_62_an_engine_that_adds_a_start_token_is_said_in_the_profile(user, text, add_bos, check):
    tokenizer_folder("gemma", user.folder / "model", layers=2)
    turns = {name: [{"messages": row["messages"][-2:]} for row in rows] for name, rows in user.rows.items()}
    write_rows(user.folder / "data", turns)
    profile = {"kind": "template", "template": text} | ({} if add_bos is None else {"add_bos": add_bos})
    found = user.findings(inference=profile)
    assert {name: one.severity for name, one in found.items()} == ({check: "error"} if check else {})


HISTORY = CHATML.format("system", "{system}") + "{history}" + CHATML.format("user", "{last_message}")
HISTORY += "<|im_start|>assistant\n"


def test_64_a_template_writes_earlier_turns_one_by_one(user):
    splits, _ = conversations.dataset("texter", SIZES, "turns", True, 0)
    write_rows(user.folder / "data", splits)
    profile = {
        "kind": "template",
        "template": HISTORY,
        "turn": CHATML.replace("{}", "{role}", 1).replace("{}", "{content}"),
    }
    assert user.findings(inference=profile) == {}
    found = user.findings(inference={"kind": "template", "template": HISTORY})
    assert set(found) == {"parity.profile_fails"} and "turn:" in found["parity.profile_fails"].evidence[0]
    without = {"kind": "template", "template": HISTORY.replace("{history}", "")}
    assert user.findings(inference=without)["parity.earlier_replies"].severity == "error"


# --- a dataset on a hub -------------------------------------------------------------------------


def in_cache(folder, name, files):
    """A dataset as the Hugging Face cache stores it."""
    place = folder / f"datasets--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / "0123456789abcdef"
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123456789abcdef")
    write_rows(snapshot, files)


def test_a_dataset_on_a_hub_is_named_and_read_where_the_cache_has_it(user, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(user.folder / "cache"))
    user.configure(data="someone/chats")
    installed = importlib.util.find_spec("datasets") is not None
    found = user.only("config.hf_dataset", "warning" if installed else "error")
    assert "someone/chats" in found.title and "they were not audited" in found.cause
    in_cache(user.folder / "cache", "someone/chats", user.rows)
    found = user.only("config.hf_dataset", "warning" if installed else "error")
    assert "reads test.jsonl, train.jsonl" in found.cause and "validates on nothing" in found.cause
    assert any("40 rows" in fact["title"] for fact in user.audit()["findings"])
    in_cache(user.folder / "cache", "someone/broken", {"train": [{"messages": [{"role": "user", "content": 5}]}] * 8})
    user.configure(data="someone/broken")
    assert "data.bad_messages" in user.findings()
    user.configure(data="data/none")  # a folder that isn't there: the first part of its name is
    user.only("data.missing", "error")
