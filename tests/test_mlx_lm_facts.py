"""What the audit takes for granted of mlx-lm, asked of the installed mlx-lm itself: a pin that moves fails here.

The rows are those of the study's list of facts. Each is followed by the checks that rest on it, or by the
reason why there is none, and by the tests that hold it: here, or in `file::test`.

 1  What is missing in the data aborts the run: data.missing, data.empty, data.no_train, data.no_test,
    data.zero_bytes, data.blank_line, data.bad_json; without valid.jsonl it runs: data.no_valid.
      test_audit::test_mlx_lm_rejects_an_empty_folder
      test_audit_data::test_files_that_mlx_lm_cannot_open_are_errors
      test_a_folder_that_is_not_there_is_asked_of_a_hub, test_the_model_is_loaded_before_the_data,
      test_without_valid_a_run_goes_on_and_says_so, test_a_valid_file_of_nothing_aborts
 2  An aborted run leaves what lay there: the checks of row 1, adapter.config_newer, adapter.config_differs,
    adapter.unreadable.
      test_audit_adapters::test_crashed_run_leaves_its_config_next_to_older_weights
      test_an_aborted_run_leaves_the_older_adapter_and_it_is_evaluated
 3  Unknown keys are kept and written down: config.unknown_key.
      test_keys_of_other_names_do_nothing_and_are_written_down, test_what_applies_where_a_config_says_nothing
 4  Two keys never apply from YAML: config.dead_key.
      test_audit_config::test_dead_keys_never_apply_and_live_ones_do
      test_the_cache_threshold_does_not_even_apply_from_the_command_line
 5  LoRA's settings: config.lora_incomplete, config.lora_alpha, config.lora_scale, config.lora_keys,
    config.num_layers.
      test_audit_config::test_mlx_lm_aborts_as_the_audit_says
      test_the_adapter_is_multiplied_by_scale_alone, test_alpha_alone_is_refused,
      test_a_key_is_the_whole_name_of_a_module, test_no_layers_are_all_layers
 6  Schedule and accumulation: config.lr_schedule, config.lr_schedule_invalid, config.grad_accumulation.
      test_a_schedule_takes_the_place_of_the_rate_and_counts_updates,
      test_iterations_behind_the_last_update_change_nothing
 7  mask_prompt is off unless asked for: loss.on_prompt, loss.shares.
      test_what_applies_where_a_config_says_nothing, test_without_mask_prompt_the_whole_row_is_trained
 8  Only the last message is trained, whoever's it is: data.last_role. No check for earlier replies: a row
    of several turns is normal, and loss.shares counts them as prompt.
      test_only_the_last_message_is_trained, test_the_other_persons_last_message_is_trained
 9  The mask is as long as the prompt, whatever is in it: loss.prompt_not_prefix, loss.nothing_trained,
    loss.nan_batch, parity.template_arguments.
      test_a_prompt_that_is_no_prefix_moves_the_mask_into_the_reply, test_a_mask_past_the_end_trains_nothing
10  One padding token is trained: loss.shares.
      test_audit_loss::test_mask_trains_the_same_positions_as_mlx_lm
      test_training::test_loss_tokens_of_both_trainers
11  Rows are cut from the right: loss.truncated, loss.end_of_turn, loss.nan_batch; NaN is saved: adapter.nan.
      test_audit_loss::test_mask_trains_the_same_positions_for_any_rows
      test_one_batch_without_a_target_makes_the_saved_adapter_nan
12  Conversations are not sorted by length: loss.padding.
      test_audit_loss::test_mlx_lm_does_not_sort_conversations_by_length
13  Batches are fixed, and full: data.tail_rows, data.fewer_than_batch.
      test_audit_data::test_unused_rows_are_those_that_mlx_lm_skips
      test_batches_are_the_same_groups_in_every_epoch, test_fewer_rows_than_a_batch_abort
14  Each validation draws other rows: config.val_batches. No check for the order of training, which changes with
    steps_per_eval: it takes two runs to see, and neither is at fault.
      test_two_validations_see_other_rows, test_how_often_is_validated_changes_the_order_of_training,
      test_without_batches_the_validation_loss_is_not_a_number
15  The last adapter is kept, and was never validated: config.kept_adapter.
      test_the_adapter_that_is_kept_is_the_last_and_was_never_validated
16  Missing tensors and another base model load: adapter.missing_tensors, adapter.base_model.
      test_audit_adapters::test_mlx_lm_loads_adapters_without_tensors_but_rejects_other_shapes
      test_audit_adapters::test_mlx_lm_loads_adapter_of_another_model_of_equal_shape
      test_an_adapter_without_tensors_is_the_base_model_and_foreign_ones_are_refused,
      test_an_adapter_to_resume_from_is_not_compared_with_anything
17  Row 0 decides for its file: data.mixed_schemas, data.bad_messages, data.schema; texts are templated as they
    are: data.templated, data.control_tokens.
      test_audit_data::test_prompt_and_completion_become_the_conversation_mlx_lm_makes
      test_the_first_row_decides_what_its_file_is, test_a_later_row_of_another_kind_fails_when_its_turn_comes,
      test_a_later_row_of_test_is_not_looked_at_in_training, test_control_tokens_in_a_message_are_real_ones
18  Strings and start tokens: parity.bos; enable_thinking: parity.template_arguments. No check for a start token
    in `text` rows: nothing looks into plain text, as data.schema says.
      test_a_text_row_that_holds_the_start_token_gets_a_second_one,
      test_a_string_is_asked_without_a_template_and_with_one_start_token,
      test_enable_thinking_is_always_said
19  lora.run takes no callback. No check: it concerns who calls mlx-lm, not a config; our training calls train_model.
      test_training::test_a_run_learns_and_its_adapter_loads
      test_lora_run_drops_the_callback_and_train_model_calls_it
20  The keys that are read stand in the source: config.unknown_key, config.dead_key.
      test_audit_config::test_run_reads_only_keys_found_in_the_source
      test_audit_config::test_every_default_and_option_is_live_or_dead
"""

import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy
import pytest
import yaml
from conftest import example, tiny_settings
from ftstudy import audit
from ftstudy.chat_format import capture
from ftstudy.models import base_models
from mlx.utils import tree_flatten
from mlx_lm import lora, stream_generate
from mlx_lm.tuner import datasets, trainer
from mlx_lm.tuner.callbacks import TrainingCallback
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from templates import BLOCK, FAMILIES, TOKENIZERS, tokenizer_folder

ROWS = [example("Be Sam.", f"hey {number}", "yo " * (number % 2 + 1)) for number in range(6)]
WEIGHTS, CONFIG = "adapters.safetensors", "adapter_config.json"
DEFAULT_LORA = {"rank": 8, "scale": 20.0, "dropout": 0.0}


@pytest.fixture
def sound(tmp_path, write_split):
    """Keys of a short run on the tiny model, which has 2 layers."""
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, ROWS)
    model = str(base_models.resolve("tiny"))
    return tiny_settings(tmp_path, model=model, learning_rate=0.01, steps_per_report=1, val_batches=1)


@pytest.fixture
def run(tmp_path, sound, monkeypatch):
    """`mlx_lm.lora --config`, with some keys changed (None takes one out); gives the adapter's folder."""

    def run(*options, **changes):
        keys = {key: value for key, value in (sound | changes).items() if value is not None}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(keys))
        monkeypatch.setattr(sys, "argv", ["mlx_lm.lora", "--config", str(tmp_path / "config.yaml"), *options])
        lora.main()
        return tmp_path / "adapter"

    return run


@pytest.fixture
def train(sound):
    """mlx-lm's training from there on where it takes a callback; gives the model."""

    def train(watch=None, **changes):
        model, tokenizer = base_models.load("tiny")
        if watch:
            watch.model = model
        numpy.random.seed(0)
        splits = datasets.load_dataset(arguments(sound | changes), tokenizer)
        lora.train_model(arguments(sound | changes), model, *splits[:2], watch)
        return model

    return train


def arguments(changes):
    return SimpleNamespace(**lora.CONFIG_DEFAULTS | changes)


class Watch(TrainingCallback):
    """What a run reports, and the adapter that each validation saw."""

    def __init__(self):
        self.rates, self.losses, self.validations, self.validated = [], [], [], []

    def on_train_loss_report(self, train_info):
        self.rates.append(train_info["learning_rate"])
        self.losses.append(train_info["train_loss"])

    def on_val_loss_report(self, val_info):
        self.validations.append((val_info["iteration"], val_info["val_loss"]))
        self.validated.append(trained_weights(self.model))


def trained_weights(model):
    return {name: numpy.array(value) for name, value in tree_flatten(model.trainable_parameters())}


def saved_weights(file):
    return {name: numpy.array(value) for name, value in mx.load(str(file)).items()}


def same(first, second):
    return first.keys() == second.keys() and all(numpy.allclose(first[name], second[name]) for name in first)


def chat(*turns):
    """A row of (role, content) pairs."""
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def rendered(row, tokenizer, mask_prompt=True):
    """mlx-lm's token ids of a row, and where its mask begins."""
    return datasets.create_dataset([row], tokenizer, SimpleNamespace(mask_prompt=mask_prompt)).process(row)


def in_loss(row, tokenizer, mask_prompt=True):
    """The tokens of a row that carry loss, from the loss's own gradient."""
    batch, lengths = next(trainer.iterate_batches([rendered(row, tokenizer, mask_prompt)], 1, 512))
    logits = mx.zeros((1, batch.shape[1] - 1, len(tokenizer.get_vocab())))
    slope = mx.grad(lambda values: trainer.default_loss(lambda _: values, batch, lengths)[0])(logits)
    trained = numpy.array(mx.abs(slope).sum(axis=-1))[0] > 0  # NaN where nothing is trained, and so False
    return numpy.array(batch)[0, 1:][trained].tolist()


def test_the_table_above_names_checks_and_tests_that_there_are():
    known = {check.id for check in audit.checks()}
    families = "|".join({check.partition(".")[0] for check in known})
    assert set(re.findall(rf"\b(?:{families})\.\w+", __doc__)) <= known
    named = {
        (file or Path(__file__).stem, test) for file, test in re.findall(r"(?:(\w+)::)?\b(test_\w+)\b(?!::)", __doc__)
    }
    there = {
        (path.stem, test)
        for path in Path(__file__).parent.rglob("test_*.py")
        for test in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    assert named <= there
    ours = {test for file, test in there if file == Path(__file__).stem}
    assert ours - {test for _, test in named} == {"test_the_table_above_names_checks_and_tests_that_there_are"}
    assert [int(row) for row in re.findall(r"^ ?(\d+)  ", __doc__, re.M)] == [*range(1, 21)]


# --- rows 1 and 2: without data -------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_asked_of_a_hub(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(datasets, "load_hf_dataset", lambda name, *_: asked.append(name) or ([], [], []))
    with pytest.raises(ValueError, match="Training set not found"):
        run(data=str(tmp_path / "nowhere"))
    assert asked == [str(tmp_path / "nowhere")]


def test_the_model_is_loaded_before_the_data(run, tmp_path, monkeypatch):
    loaded, load = [], lora.load
    monkeypatch.setattr(lora, "load", lambda name, **rest: loaded.append(name) or load(name, **rest))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Training set not found"):
        run(data=str(tmp_path / "empty"))
    assert loaded == [str(base_models.resolve("tiny"))]


def test_without_valid_a_run_goes_on_and_says_so(run, tmp_path, capsys):
    (tmp_path / "data" / "valid.jsonl").unlink()
    assert (run() / WEIGHTS).is_file()
    told = capsys.readouterr().out
    assert "Validation set not found" in told and not re.search(r"\bval\b", told)


def test_a_valid_file_of_nothing_aborts(run, tmp_path):
    (tmp_path / "data" / "valid.jsonl").write_text("")
    with pytest.raises(IndexError):
        run()


def test_an_aborted_run_leaves_the_older_adapter_and_it_is_evaluated(run, tmp_path, capsys):
    def tested(**changes):
        run(train=False, test=True, **changes)
        return re.search(r"Test loss ([\d.]+)", capsys.readouterr().out)[1]

    adapter = run()
    before = {path.name: path.read_bytes() for path in adapter.iterdir()}
    tuned = tested()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="Training set not found"):
        run(data=str(tmp_path / "empty"), lora_parameters=DEFAULT_LORA | {"rank": 4})
    assert {path.name: path.read_bytes() for path in adapter.iterdir()} == before
    assert tested(lora_parameters=DEFAULT_LORA | {"rank": 4}) == tuned != tested(adapter_path="")


# --- rows 3 to 7: a config's keys -----------------------------------------------------------------


def test_keys_of_other_names_do_nothing_and_are_written_down(run):
    weights = saved_weights(run() / WEIGHTS)
    dead = {"lora_layers": 1, "lora_rank": 4, "lora_alpha": 16, "lora_dropout": 0.5, "epochs": 3, "max_seq_len": 9}
    adapter = run(**dead)
    written = json.loads((adapter / CONFIG).read_text())
    assert dead.items() <= written.items()
    assert same(saved_weights(adapter / WEIGHTS), weights)
    assert {min(value.shape) for value in weights.values()} == {8}


def test_what_applies_where_a_config_says_nothing(run, monkeypatch):
    seen = []
    monkeypatch.setattr(lora, "run", seen.append)
    run(num_layers=None, mask_prompt=None)
    assert seen[0].lora_parameters == DEFAULT_LORA
    assert (seen[0].num_layers, seen[0].mask_prompt) == (16, False)


def test_the_cache_threshold_does_not_even_apply_from_the_command_line(run, monkeypatch):
    given = []
    monkeypatch.setattr(lora, "train", lambda args, **_: given.append(args))
    run("--clear-cache-threshold", "7", "--save-every", "7")
    assert (given[0].clear_cache_threshold, given[0].steps_per_save) == (0, 7)


@pytest.mark.parametrize("more", [{}, {"alpha": 16}])
@pytest.mark.parametrize("rank", [2, 8])
def test_the_adapter_is_multiplied_by_scale_alone(rank, more):
    model, _ = base_models.load("tiny")
    linear_to_lora_layers(model, 1, {"rank": rank, "scale": 3.0, "dropout": 0.0} | more)
    layer = model.layers[-1].self_attn.q_proj
    layer.lora_b = mx.random.normal(layer.lora_b.shape)
    vector = mx.random.normal((1, layer.lora_a.shape[0]))
    adapted = 3.0 * (vector @ layer.lora_a @ layer.lora_b)
    assert mx.allclose(layer(vector) - layer.linear(vector), adapted, atol=1e-4).item()


def test_alpha_alone_is_refused():
    model, _ = base_models.load("tiny")
    with pytest.raises(KeyError, match="scale"):
        linear_to_lora_layers(model, 1, {"rank": 8, "alpha": 16, "dropout": 0.0})


def adapted(num_layers, **changes):
    """The names of what is trained, without lora_a and lora_b."""
    model, _ = base_models.load("tiny")
    model.freeze()
    linear_to_lora_layers(model, num_layers, DEFAULT_LORA | changes)
    return {name.rpartition(".")[0] for name in trained_weights(model)}


@pytest.mark.parametrize(
    "keys, names",
    [
        (["q_proj"], set()),
        (["self_attn.q_proj"], {"model.layers.1.self_attn.q_proj"}),
        (["self_attn.q_proj", "v_proj"], {"model.layers.1.self_attn.q_proj"}),
        (["lm_head"], {"lm_head"}),
    ],
)
def test_a_key_is_the_whole_name_of_a_module(keys, names):
    assert adapted(1, keys=keys) == names


def test_no_layers_are_all_layers():
    assert adapted(0) == adapted(-1) == adapted(2)
    assert adapted(1) == {name for name in adapted(2) if ".layers.1." in name} != adapted(2)


def test_a_schedule_takes_the_place_of_the_rate_and_counts_updates(train):
    watch, schedule = Watch(), {"name": "linear_schedule", "arguments": [0.008, 0.0, 4]}
    train(watch, lr_schedule=schedule, learning_rate=5.0, iters=6, grad_accumulation_steps=2)
    # The first iteration only accumulates; the rate that is reported is that of the last update.
    assert watch.rates[1:] == pytest.approx([0.008, 0.008, 0.006, 0.006, 0.004])


def test_iterations_behind_the_last_update_change_nothing(train):
    def trained(iters):
        return trained_weights(train(iters=iters, grad_accumulation_steps=2))

    weights = trained(2)
    assert same(trained(3), weights) and not same(trained(4), weights)
    assert all(not value.any() for name, value in trained(1).items() if name.endswith("lora_b"))


def test_without_mask_prompt_the_whole_row_is_trained(tokenizer):
    ids, offset = rendered(ROWS[0], tokenizer, mask_prompt=False)
    assert offset == 0 and in_loss(ROWS[0], tokenizer, mask_prompt=False)[:-1] == ids[1:]
    # A config that leaves it out gives no key at all to a dataset of one's own.
    assert datasets.create_dataset(ROWS, tokenizer, SimpleNamespace()).process(ROWS[0]) == (ids, 0)


# --- rows 8, 9 and 11: what is trained of a row ---------------------------------------------------


def test_only_the_last_message_is_trained(tokenizer):
    row = chat(("user", "hey"), ("assistant", "yo"), ("user", "dinner?"), ("assistant", "at 7"))
    assert tokenizer.decode(in_loss(row, tokenizer)) == "at 7<|im_end|>\n<|endoftext|>"


def test_the_other_persons_last_message_is_trained(tokenizer):
    row = chat(("user", "hey"), ("assistant", "yo"), ("user", "dinner?"))
    assert tokenizer.decode(in_loss(row, tokenizer)) == "<|im_start|>user\ndinner?<|im_end|>\n<|endoftext|>"


@pytest.fixture
def think_prompt(tmp_path):
    """Its template writes a think block into the prompt alone."""
    return base_models.load_tokenizer(tokenizer_folder("think_prompt", tmp_path / "model"))


def test_a_prompt_that_is_no_prefix_moves_the_mask_into_the_reply(think_prompt):
    row = chat(("user", "hey"), ("assistant", "see you at seven then, I will bring something to drink"))
    ids, offset = rendered(row, think_prompt)
    prompt = think_prompt.apply_chat_template(row["messages"][:-1], add_generation_prompt=True)
    assert offset == len(prompt) and ids[:offset] != prompt and think_prompt.decode(prompt).endswith(BLOCK)
    block = think_prompt.encode(BLOCK, add_special_tokens=False)
    reply = think_prompt.encode(row["messages"][-1]["content"], add_special_tokens=False)
    assert in_loss(row, think_prompt)[: len(reply) - len(block)] == reply[len(block) :]


def test_a_mask_past_the_end_trains_nothing(think_prompt):
    row = chat(("user", "hey"), ("assistant", "k"))
    ids, offset = rendered(row, think_prompt)
    assert offset > len(ids) and in_loss(row, think_prompt) == []
    batch, lengths = next(trainer.iterate_batches([(ids, offset)], 1, 512))
    vocabulary = len(think_prompt.get_vocab())
    loss, tokens = trainer.default_loss(lambda ids: mx.zeros((*ids.shape, vocabulary)), batch, lengths)
    assert tokens.item() == 0 and math.isnan(loss.item())


def test_one_batch_without_a_target_makes_the_saved_adapter_nan(train, tmp_path, write_split):
    long = example(user="Contact: are you there? " * 30)
    write_split(tmp_path / "data", "train", [*ROWS, long, long])
    watch = Watch()
    train(watch, max_seq_length=128, iters=4)
    assert any(map(math.isnan, watch.losses)) and not all(map(math.isnan, watch.losses[:-1]))
    assert all(numpy.isnan(value).all() for value in saved_weights(tmp_path / "adapter" / WEIGHTS).values())


# --- rows 13 to 15: batches and validations -------------------------------------------------------


class Numbered(list):
    """A dataset of rows that are one token, their own number."""

    def process(self, row):
        return [row["number"]], 0


def numbered(number):
    return datasets.CacheDataset(Numbered({"number": at} for at in range(1, number + 1)))


def rows_of(batch):
    return tuple(numpy.array(batch)[:, 0].tolist())


def evaluated(number, batches):
    """The rows that mlx-lm's evaluation sees, and its loss."""
    seen = []

    def loss(model, batch, lengths):
        seen.append(rows_of(batch))
        return mx.array(1.0), mx.array(1)

    return seen, trainer.evaluate(nn.Linear(1, 1), numbered(number), 2, batches, loss=loss)


def test_batches_are_the_same_groups_in_every_epoch():
    drawn = trainer.iterate_batches(numbered(7), 2, 512, loop=True)
    epochs = [[rows_of(next(drawn)[0]) for _ in range(3)] for _ in range(6)]
    assert all(set(epoch) == {(1, 2), (3, 4), (5, 6)} for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 1
    assert set(evaluated(7, -1)[0]) == {(1, 2), (3, 4), (5, 6)}


def test_fewer_rows_than_a_batch_abort():
    with pytest.raises(ValueError, match="at least batch_size"):
        next(trainer.iterate_batches(numbered(1), 2, 512))
    with pytest.raises(ValueError, match="at least batch_size"):
        evaluated(1, 1)


def test_two_validations_see_other_rows():
    numpy.random.seed(0)
    assert len({tuple(evaluated(20, 2)[0]) for _ in range(5)}) > 1


def test_without_batches_the_validation_loss_is_not_a_number():
    assert math.isnan(evaluated(20, 0)[1]) and evaluated(20, 1)[1] == 1.0


def test_how_often_is_validated_changes_the_order_of_training(tmp_path):
    def order(every):
        trained = []

        def batches(loop=False, **options):
            for batch, lengths in trainer.iterate_batches(loop=loop, **options):
                trained.extend([rows_of(batch)] * loop)
                yield batch, lengths

        numpy.random.seed(0)
        settings = trainer.TrainingArgs(2, 20, steps_per_eval=every, adapter_file=str(tmp_path / WEIGHTS))
        trainer.train(
            nn.Linear(1, 1), optim.SGD(0.1), numbered(20), numbered(20), settings, iterate_batches=batches,
            loss=lambda model, batch, lengths: (model.weight.sum(), mx.array(1)),
        )  # fmt: skip
        return trained

    often, seldom = order(2), order(20)
    assert order(2) == often
    # The first epoch's order is drawn before the first validation.
    assert often[:10] == seldom[:10] and often[10:] != seldom[10:]
    assert set(often[10:]) == set(seldom[10:])


def test_the_adapter_that_is_kept_is_the_last_and_was_never_validated(train, tmp_path):
    # A rate below zero makes each step a step back, so that the first adapter is the best.
    watch, settings = Watch(), {"optimizer": "sgd", "learning_rate": -0.1, "val_batches": -1}
    model = train(watch, **settings, iters=4, steps_per_eval=1, lora_parameters=DEFAULT_LORA | {"scale": 2.0})
    iterations, losses = zip(*watch.validations)
    assert iterations == (0, 1, 2, 3) and list(losses) == sorted(set(losses))
    kept = saved_weights(tmp_path / "adapter" / WEIGHTS)
    assert same(kept, trained_weights(model)) and not any(same(kept, seen) for seen in watch.validated)


# --- row 16: adapters -----------------------------------------------------------------------------


def test_an_adapter_without_tensors_is_the_base_model_and_foreign_ones_are_refused(run, tokenizer):
    adapter, ids = run(), mx.array([tokenizer.encode("hey you")])
    base, tuned = (base_models.load("tiny")[0] for _ in range(2))
    assert not mx.allclose(load_adapters(tuned, adapter)(ids), base(ids)).item()
    mx.save_safetensors(str(adapter / WEIGHTS), {})
    empty = load_adapters(base_models.load("tiny")[0], adapter)
    assert mx.array_equal(empty(ids), base(ids)).item()
    mx.save_safetensors(str(adapter / WEIGHTS), {"model.layers.7.self_attn.q_proj.lora_a": mx.ones((64, 8))})
    with pytest.raises(ValueError, match="not an adapter parameter"):
        load_adapters(base_models.load("tiny")[0], adapter)


def test_an_adapter_to_resume_from_is_not_compared_with_anything(run, train, tmp_path):
    weights = saved_weights(run(lora_parameters=DEFAULT_LORA | {"rank": 4}) / WEIGHTS)
    weights = {name: mx.array(value) for name, value in weights.items() if ".layers.1." in name}
    first = tmp_path / "first.safetensors"
    mx.save_safetensors(str(first), weights | {"model.layers.7.self_attn.q_proj.lora_a": mx.ones((64, 8))})
    resumed = trained_weights(train(resume_adapter_file=str(first)))
    assert {min(value.shape) for name, value in resumed.items() if ".layers.1." in name} == {4}
    assert {min(value.shape) for name, value in resumed.items() if ".layers.0." in name} == {8}


# --- rows 17 and 18: kinds of rows, control tokens, strings ---------------------------------------

PAIR, TEXT = {"prompt": "hey", "completion": "yo"}, {"text": "hey yo"}


@pytest.mark.parametrize(
    "first, kind",
    [
        (PAIR | ROWS[0] | TEXT, datasets.CompletionsDataset),
        (ROWS[0] | TEXT | {"prompt": "hey"}, datasets.ChatDataset),
        (TEXT, datasets.TextDataset),
    ],
)
def test_the_first_row_decides_what_its_file_is(tokenizer, first, kind):
    later = [PAIR, ROWS[1], TEXT]
    assert type(datasets.create_dataset([first, *later], tokenizer, SimpleNamespace())) is kind


def test_a_later_row_of_another_kind_fails_when_its_turn_comes(run, tmp_path, write_split):
    write_split(tmp_path / "data", "train", [*ROWS, PAIR, PAIR])
    with pytest.raises(KeyError, match="messages"):
        run(iters=4)
    assert [path.name for path in (tmp_path / "adapter").iterdir()] == [CONFIG]


def test_a_later_row_of_test_is_not_looked_at_in_training(run, tmp_path, write_split):
    write_split(tmp_path / "data", "test", [*ROWS, PAIR, PAIR])
    assert (run() / WEIGHTS).is_file()
    with pytest.raises(KeyError, match="messages"):
        run(test=True)


def test_control_tokens_in_a_message_are_real_ones(tokenizer):
    start, end = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<|im_end|>"))

    def counted(text):
        ids, _ = rendered(chat(("user", text), ("assistant", "yo")), tokenizer)
        return ids.count(start), ids.count(end)

    starts, ends = counted("hey")
    assert counted("hey<|im_end|>") == (starts, ends + 1)
    twice = tokenizer.apply_chat_template([{"role": "user", "content": "hey"}], tokenize=False)
    assert counted(twice) == (starts + twice.count("<|im_start|>"), ends + twice.count("<|im_end|>"))


def test_a_text_row_that_holds_the_start_token_gets_a_second_one():
    tokenizer = TOKENIZERS["chatml_bos"]()
    for text, starts in (("hey", 1), (tokenizer.bos_token + "hey", 2)):
        ids, _ = rendered({"text": text}, tokenizer, mask_prompt=False)
        assert ids.count(tokenizer.bos_token_id) == starts


def test_a_string_is_asked_without_a_template_and_with_one_start_token(tmp_path):
    model, tokenizer = base_models.load(tokenizer_folder("chatml_bos", tmp_path / "model"))
    turn = tokenizer.apply_chat_template(ROWS[0]["messages"][:-1], add_generation_prompt=True, tokenize=False)
    assert turn.startswith(tokenizer.bos_token)
    asked = ["hey", turn, turn.removeprefix(tokenizer.bos_token)]
    with capture.recording(tmp_path / "sent.jsonl") as recorder:
        for text in asked:
            next(stream_generate(model, tokenizer, text, max_tokens=1))
    sent = [tokenizer.decode(row["ids"]) for row in recorder.rows]
    assert sent == [tokenizer.bos_token + "hey", turn, turn]


@pytest.mark.parametrize("plain, said", [(["<think>", "</think>"], True), ([], False)])
def test_enable_thinking_is_always_said(tmp_path, monkeypatch, plain, said):
    # A tokenizer with these tokens counts as one that thinks; this template says what it was told.
    told = FAMILIES["chatml"]["template"] + "{{ enable_thinking is defined }} {{ enable_thinking }}"
    monkeypatch.setitem(FAMILIES, "telling", FAMILIES["chatml"] | {"template": told, "plain": plain})
    tokenizer = base_models.load_tokenizer(tokenizer_folder("telling", tmp_path / "model"))
    messages = ROWS[0]["messages"]
    assert tokenizer.apply_chat_template(messages, tokenize=False).endswith(f"True {said}")
    assert tokenizer.decode(rendered(chat(("user", "hey"), ("assistant", "yo")), tokenizer)[0]).endswith(f"True {said}")
    assert tokenizer._tokenizer.apply_chat_template(messages, tokenize=False).endswith("False ")


# --- row 19: callbacks ----------------------------------------------------------------------------


def test_lora_run_drops_the_callback_and_train_model_calls_it(sound, train):
    dropped, called = Watch(), Watch()
    lora.run(arguments(sound), dropped)
    train(called)
    assert dropped.losses == dropped.validations == []
    assert len(called.losses) == 2 and called.validations
