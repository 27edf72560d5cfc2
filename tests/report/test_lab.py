"""What the notebooks have in JupyterLab: framed errors, pickers with a twin for headless runs, and the playground."""

import contextlib
import io

import ipywidgets
import pytest
import staged_finetunes
import yaml
from conftest import refused
from ftstudy import audit, training
from ftstudy.chat_format import WRAPPER
from ftstudy.compare import playground
from ftstudy.demo import tiny_chat
from ftstudy.errors import StudyError
from ftstudy.report import lab, notebook_remarks, pickers
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


@pytest.fixture
def watching(monkeypatch):
    """As if a person were looking."""
    monkeypatch.setattr(lab, "watched", lambda: True)


@pytest.fixture
def shell():
    made = InteractiveShell.instance()
    before = made.custom_exceptions, made.CustomTB
    yield made
    made.custom_exceptions, made.CustomTB = before


# --- errors and colours ----------------------------------------------------------------------------------------------


def html_of(captured):
    return "".join(output.data.get("text/html", "") for output in captured.outputs)


def test_an_error_that_the_user_can_fix_is_one_framed_paragraph_with_its_traceback_folded(watching, shell):
    with capture_output():
        lab.prepare()
    shell.user_ns["refuse"] = lambda: (_ for _ in ()).throw(StudyError("No <config> here. Correct CONFIG=…."))
    with capture_output() as captured:
        result = shell.run_cell("refuse()")
    shown = html_of(captured)
    assert isinstance(result.error_in_exec, StudyError)  # the cells after it do not run
    assert "No &lt;config&gt; here. Correct CONFIG=…." in shown and "<details>" in shown and "refuse()" in shown
    assert "Traceback" not in captured.stdout + captured.stderr
    with capture_output() as captured:
        shell.run_cell("1 / 0")
    assert "ZeroDivisionError" in captured.stdout + captured.stderr and not html_of(captured)


def test_a_headless_run_keeps_the_error_for_whoever_runs_the_notebook(shell):
    with capture_output() as captured:
        lab.prepare()
    assert "<style>" in html_of(captured) and StudyError not in shell.custom_exceptions


# --- pickers ---------------------------------------------------------------------------------------------------------


def test_without_a_person_the_first_choice_is_shown_and_no_widget():
    with capture_output() as captured:
        lab.pick(lambda variant, config: [f"{variant} of {config}"], variant=["a", "b"], config=["c", "d"])
    assert captured.stdout == "a of c\n" and not captured.outputs
    with pytest.raises(StudyError):
        lab.pick(lambda variant: staged(variant), variant=["a"])


def staged(name):
    raise StudyError(f"{name} is not there.")


def widgets_of(made, kind):
    return [one for one in made.values() if isinstance(one, kind)]


def test_picking_something_else_shows_it(watching, monkeypatch):
    made, seen = {}, []
    monkeypatch.setattr(ipywidgets, "interactive_output", lambda shown, fields: made.update(fields, shown=shown))
    with capture_output():
        lab.pick(lambda variant: seen.append(variant) or [], variant=["a", "b"])
        made["shown"](variant=made["variant"].value)
        made["variant"].value = "b"
        made["shown"](variant=made["variant"].value)
    assert seen == ["a", "b"] and made["variant"].options == ("a", "b")
    with capture_output() as captured:
        lab.pick(staged, name=["the config"])
        made["shown"](name="the config")
    assert "the config is not there." in html_of(captured)


# --- what is picked --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Made-up rows in two variants, the tiny chat model, and two configs."""
    folder = tmp_path_factory.mktemp("project")
    rows = staged_finetunes.rows_of_sam()
    staged_finetunes.write_rows(folder / "data" / "first", rows)
    staged_finetunes.write_rows(folder / "data" / "second", rows | {"train": rows["train"][:1]})
    config = staged_finetunes.CONFIG | staged_finetunes.WITH_STUDY | {"model": str(tiny_chat.FOLDER), "iters": 10}
    config |= {"data": str(folder / "data" / "first"), "adapter_path": str(folder / "adapter"), "steps_per_eval": 10}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    (folder / "other.yaml").write_text(yaml.safe_dump(config | {"learning_rate": -1.0}))
    (folder / "app.yaml").write_text("kind: messages\n")
    return folder


def test_another_config_and_another_variant_are_audited(project):
    inputs = audit.read(project / "mine.yaml")
    own = audit.check(inputs)
    look, picked = pickers.audits(inputs, own, own["findings"])
    assert [name.rsplit("/")[-1] for name in picked["config"]] == ["mine.yaml", "other.yaml"]
    assert picked["variant"] == ["first", "second"]
    mine, others = ({"config": name, "variant": "first"} for name in picked["config"])
    assert look(**mine)[1].startswith("0 errors") and "learning_rate" in look(**others)[0].data
    assert look(**mine | {"variant": "second"})[1] != look(**mine)[1]


def test_all_variants_or_one_are_shown():
    look, picked = pickers.rows({name: [{"role": "user", "content": f"row of {name}"}] for name in ("raw", "wrapped")})
    every, one = (look(variant)[0].data for variant in ("all of them", "wrapped"))
    assert picked["variant"] == ["all of them", "raw", "wrapped"]
    assert "row of raw" in every and "row of wrapped" in every
    assert "row of raw" not in one and "row of wrapped" in one


# --- the playground --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ready(project, tmp_path_factory):
    inputs = audit.read(project / "mine.yaml", inference="historical")
    return playground.prepare(inputs, *inputs.replies(40), tmp_path_factory.mktemp("run"))


def test_trainings_own_texts_cost_nothing(ready):
    system = ready["rows"][0]["messages"][0]["content"]
    found = playground.ask(ready, system, "")
    assert found["parity"]["identical"] == found["parity"]["examples"] == playground.REPLIES
    assert found["difference"]["nats_per_reply_token"] == 0 and found["model"] == "base"


def test_another_system_text_or_form_changes_prompt_and_loss_together(ready):
    system = ready["rows"][0]["messages"][0]["content"]
    for texts, aspect in ((("Answer in French.", ""), "system"), (("", ""), "system"), ((system, WRAPPER), "user")):
        found = playground.ask(ready, *texts)
        assert found["parity"]["identical"] == 0
        assert [row["region"] for row in found["parity"]["rows"]] == [aspect], texts
        assert abs(found["difference"]["nats_per_reply_token"]) > 1e-4
        assert not all(block["equal"] for block in found["compared"]["blocks"])


def test_an_unknown_placeholder_is_said(ready):
    refused(lambda: playground.ask(ready, "You are {nobody}.", ""), "nobody", "{context}")


def test_it_begins_with_the_apps_texts_or_with_trainings(ready):
    rows = ready["rows"]
    assert playground.texts({"kind": "template", "system": "S", "user": WRAPPER}, rows) == {
        "system": "S",
        "user": WRAPPER,
    }
    assert playground.texts({"kind": "messages", "system": False}, rows) == {"system": "", "user": ""}
    assert playground.texts(None, rows) == {"system": rows[0]["messages"][0]["content"], "user": ""}


def test_it_says_and_shows_what_the_prompt_is_and_costs(ready):
    same, cost, diff = pickers.prompts(ready)("Answer in French.", "")
    assert "24 of 24 prompts differ" in same and "the base model" in cost and "French" in diff.data


@pytest.mark.slow
def test_it_asks_the_model_that_the_run_trained(project, tmp_path):
    inputs = training.read(project / "mine.yaml")
    with contextlib.redirect_stdout(io.StringIO()):
        training.save_result(tmp_path, training.train(inputs, tmp_path / "metrics.jsonl"))
    inputs = audit.read(project / "mine.yaml")
    rows, places = inputs.replies(40)
    tuned = playground.prepare(inputs, rows, places, tmp_path)
    base = playground.prepare(inputs, rows, places, project)
    assert (tuned["name"], base["name"]) == ("tuned", "base")
    assert tuned["aligned"]["reply"].sum() < base["aligned"]["reply"].sum()


# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said, words",
    [
        (notebook_remarks.masking({"phone": 2}, True), "2 phone numbers"),
        (notebook_remarks.masking({}, False), "Nothing was masked, as asked"),
        (
            notebook_remarks.messages(
                [{"kind": "text", "rows": 3, "by_owner": 1}, {"kind": "tapback", "rows": 1, "by_owner": 1}]
            ),
            "3 of 4 messages are texts, 1 of them yours",
        ),
        (notebook_remarks.staged(None), "not staged"),
        (notebook_remarks.staged({"before": [{"lines": 0}, {"lines": 9}], "after": [{"lines": 9}]}), "1 of 2 configs"),
        (notebook_remarks.alignment({"blocks": [{"equal": True, "training": [1], "inference": [1]}]}), "All 1 token"),
        (
            notebook_remarks.alignment({"blocks": [{"equal": False, "training": [1, 2], "inference": [3]}]}),
            "Of 2 tokens in training, 0 have a counterpart at inference, where the prompt has 1.",
        ),
        (notebook_remarks.termination({"trained": False}), "not trained"),
        (notebook_remarks.masked_rows([]), "no row"),
        (notebook_remarks.settings({"iters": 10, "batch_size": 4}, 20), "20 training rows 2.0 times"),
        (notebook_remarks.trained({"parameters_trained": 1, "parameters": 4, "tokens_in_loss": 8}), "25.0%"),
        (notebook_remarks.costs({}), "earlier"),
    ],
)
def test_sentences_say_what_a_result_means(said, words):
    assert words in said


def test_the_funnel_counts_the_steps_that_all_variants_share():
    steps = [
        {"step": "messages in the source", "removed": 0, "left": 10},
        {"step": "written by other people (used as context)", "removed": 5, "left": 5},
        {"step": "group chats", "removed": 1, "left": 4},
        {"step": "raw: too short", "removed": 3, "left": 1},
    ]
    said = notebook_remarks.funnel(steps, ["raw"])
    assert said.startswith("10 messages gave 4 replies of yours.") and "group chats”: 1" in said
