"""What an audit says of what it found right: counted, and gone as soon as something is wrong there."""

import pytest
from faults.spoiling import in_rows, of_reply
from faults.studies import build

SENTENCES = {
    "config": "mlx-lm reads every key of the config",
    "model": "mlx-lm can load the base model",
    "rows": "mlx-lm accepts all 76 rows of train, valid and test",
    "loss": "The loss covers all 60 replies of train",
    "length": "No row is cut",
    "splits": "No rows leak between train, valid and test",
    "prompts": "The app's prompt equals training's, token for token",
}


def said(report: dict) -> set[str]:
    found = {key for key, start in SENTENCES.items() for one in report["held"] if one.startswith(start)}
    assert len(found) == len(report["held"]), report["held"]
    return found


@pytest.fixture
def study(tmp_path):
    return build("app-chatml", tmp_path)


def test_a_clean_run_says_what_was_checked_and_how_much(study):
    report = study.audit()
    assert said(report) == set(SENTENCES) and report["not_checked"] == []
    assert "(76 rows compared)" in report["held"][-2] and "all 76 rows compared" in report["held"][-1]


def copied(study):
    study.write("valid", study.rows("train")[:8])
    (study.data / "meta.jsonl").unlink()


SPOILED = {
    "an unknown key": (lambda study: study.configure(lora_layers=8), {"config"}),
    "control tokens": (of_reply(lambda text: text + "<|im_end|>"), {"rows"}),
    "a row without messages": (in_rows(lambda row: {"messages": []}, 1), {"rows", "loss", "length"}),
    "rows in two files": (copied, {"splits"}),
    "another system text in the app": (lambda study: study.ask(system="You are a founder."), {"prompts"}),
    "a short max_seq_length": (lambda study: study.configure(max_seq_length=32), {"loss", "length"}),
}


@pytest.mark.parametrize("spoil, gone", SPOILED.values(), ids=SPOILED)
def test_what_is_wrong_is_no_longer_said_to_be_right(study, spoil, gone):
    spoil(study)
    missing = set(SENTENCES) - said(study.audit())
    assert gone <= missing and "model" not in missing


def test_what_could_not_be_checked_is_said(study):
    (study.folder / "profile.yaml").unlink()
    (study.data / "test.jsonl").unlink()
    report = study.audit()
    assert [one.partition(":")[0] for one in report["not_checked"]] == ["test.jsonl", "The app's prompt"]
    (study.folder / "model" / "tokenizer.json").write_text("{")
    (study.folder / "model" / "model.safetensors").write_bytes(b"")
    assert any(one.startswith("Tokens, loss and prompts") for one in study.audit()["not_checked"])
