"""The whole audit: faults in data and prompts under their own ids, no findings on clean runs."""

import json

import pytest
from conftest import check_parity, example
from ftstudy import audit, chat_format, cli, paths
from ftstudy.errors import StudyError
from ftstudy.original_report import history
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = [example(user=f"Contact: hey {number}", reply=f"yo {number}") for number in range(8)]


@pytest.fixture
def clean(tmp_path, write_split):
    for name in ("train", "valid", "test"):
        write_split(tmp_path / "data", name, ROWS)
    return tmp_path / "data"


def checks(folder, batch_size=2):
    found = audit.data.check_data(folder, batch_size)
    return {(item.check, item.severity) for item in found if item.check != "data.tail_rows"}


def test_clean_data_has_no_findings(clean):
    assert checks(clean) == set()


@pytest.mark.parametrize(
    "spoil, found",
    [
        (lambda folder: [file.unlink() for file in folder.iterdir()], ("data.empty", "error")),
        (lambda folder: (folder / "train.jsonl").rename(folder / "training.jsonl"), ("data.no_train", "error")),
        (lambda folder: (folder / "train.jsonl").write_text(""), ("data.zero_bytes", "error")),
        (lambda folder: (folder / "valid.jsonl").unlink(), ("data.no_valid", "warning")),
        (lambda folder: (folder / "train.jsonl").write_text("{}\n" * 3), ("data.bad_messages", "error")),
        (lambda folder: (folder / "train.jsonl").open("a").write("\n"), ("data.blank_line", "error")),
        (lambda folder: (folder / "valid.jsonl").open("a").write("{'a': 1}\n"), ("data.bad_json", "error")),
        (lambda folder: (folder / "train.jsonl").write_text(json.dumps(ROWS[0])), ("data.fewer_than_batch", "error")),
    ],
)
def test_each_fault_found_under_its_own_id(clean, spoil, found):
    spoil(clean)
    assert checks(clean) == {found}


def test_missing_directory(tmp_path):
    assert checks(tmp_path / "nowhere") == {("data.missing", "error")}


def test_folder_with_only_a_hidden_file_is_empty(tmp_path):
    (tmp_path / ".DS_Store").write_text("x")
    assert checks(tmp_path) == {("data.empty", "error")}


@pytest.mark.parametrize(
    "last", [{"role": "user", "content": "hey"}, {"role": "assistant", "content": " \n"}, {"role": "assistant"}, "text"]
)
def test_row_without_a_final_reply(clean, config, write_split, last):
    write_split(clean, "train", ROWS + [{"messages": ROWS[0]["messages"][:2] + [last]}])
    found = {check for check, severity in checks(clean) if severity == "error"}
    found |= {item.check for item in audit.content.check(audit.read(config, inference=None))}
    assert found & {"data.bad_messages", "data.last_role", "data.empty_reply"}


# --- parity ---------------------------------------------------------------------------------

PROFILES = {
    "other_system": ({"kind": "messages", "system": "You are a tech founder."}, {"parity.system_text"}),
    "wrapped": ({"kind": "messages", "user": chat_format.WRAPPER}, {"parity.user_wrapper"}),
    "no_header": (
        {
            "kind": "template",
            "template": "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{context}<|im_end|>\n",
        },
        {"parity.end_of_prompt"},
    ),
    "doubled_start": (
        {"kind": "template", "template": "<|endoftext|>" + chat_format.CHATML % "{context}"},
        {"parity.bos"},
    ),
}


def found(profile, tokenizer):
    return {item.check for item in check_parity(ROWS, tokenizer, profile, "here")}


def test_aligned_format_and_equal_template_have_no_findings(tokenizer):
    assert found({"kind": "messages"}, tokenizer) == set()
    assert found({"kind": "template", "template": chat_format.CHATML % "{context}"}, tokenizer) == set()


@pytest.mark.parametrize("profile, expected", PROFILES.values(), ids=PROFILES)
def test_difference_reported_for_the_region_it_is_in(tokenizer, profile, expected):
    assert found(profile, tokenizer) == expected


@settings(deadline=None)
@given(
    turns=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), min_size=1, max_size=8)
)
def test_historical_format_differs_only_in_system_text_and_user_turn(tokenizer, turns):
    user = "\n".join(f"{('Contact', 'Sam')[at % 2]}: {text}" for at, text in enumerate(turns))
    compared = audit.parity.compare(example(user=user), tokenizer, chat_format.load_profile("historical", "Sam"))
    assert set(compared["differing"]) == {"system", "user"}
    for side in ("training", "inference"):
        assert [token for block in compared["blocks"] for token in block[side]] == compared[side]


def test_key_differences_counted_from_token_ids(tokenizer):
    profile = {"kind": "messages", "system": "You are Sam. Reply. Now."}
    table = audit.parity.key_differences(ROWS, tokenizer, profile)
    (row,) = table["rows"]
    extra = len(tokenizer.encode("You are Sam. Reply. Now.")) - len(tokenizer.encode("You are Sam. Reply."))
    assert (row["region"], row["prompts"], row["tokens"]) == ("system", 8, extra)
    assert (table["examples"], table["identical"]) == (8, 0)
    assert (row["training"], row["inference"]) == ("You are Sam. Reply.", "You are Sam. Reply. Now.")


def test_missing_end_token_of_a_prompt_is_explained_not_reported(tokenizer):
    end = audit.parity.termination(ROWS[0], tokenizer)
    assert end["training"].startswith("<|im_end|>") and end["trained"]


def test_emoji_and_scripts_do_not_shift_regions(tokenizer):
    row = example(system="You are Sam 👩‍👩‍👧.", user="Contact: 它是中文 😀", reply="ok")
    compared = audit.parity.compare(row, tokenizer, {"kind": "messages", "system": "You are Sam 🇩🇪."})
    assert set(compared["differing"]) == {"system"}
    for side in ("training", "inference"):
        assert [token for block in compared["blocks"] for token in block[side]] == compared[side]


# --- the whole audit ------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path, clean):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"model: tiny\ndata: {clean}\nbatch_size: 2\nnum_layers: 2\niters: 10\ntrain: true\nmask_prompt: true\n"
    )
    return path


def test_clean_run_without_a_profile_has_no_errors(config):
    result = audit.audit(config)
    assert "parity.no_profile" in [item["check"] for item in result["findings"]]
    assert not result["summary"]["error"]


def test_audit_compares_with_an_inference_profile(config):
    assert audit.audit(config, inference="historical")["summary"]["error"] == 2
    assert audit.audit(config, inference="aligned")["summary"]["error"] == 0


def test_unreadable_data_yields_findings(config, clean):
    (clean / "train.jsonl").write_text("{")
    found = {item["check"] for item in audit.audit(config, inference="historical")["findings"]}
    assert "data.bad_json" in found


@pytest.mark.parametrize("text, words", [(None, "No config"), ("a: [", "YAML"), ("just text", "key: value")])
def test_unreadable_config_raises(tmp_path, text, words):
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyError, match=words):
        audit.audit(path)


def test_historical_matrix_names_an_empty_folder_and_the_fixed_one_does_not(tmp_path, clean):
    for variant in ("raw_style", "raw_style_variable"):
        (tmp_path / "variants").mkdir(exist_ok=True)
        (tmp_path / "variants" / variant).symlink_to(clean)
    staged = history.stage(tmp_path / "run", tmp_path / "variants")
    empty = {
        when: [any(f["check"] == "data.empty" for f in row["findings"]) for row in staged[when]]
        for when in ("before", "after")
    }
    assert empty == {"before": [True, False], "after": [False, False]}
    assert staged["before"][0]["lines"] == 0 and staged["after"][0]["lines"] == 8


def test_mlx_lm_rejects_an_empty_folder(tmp_path):
    # Claim 3 of the report relies on this, so a change in mlx-lm must show.
    assert history.trainer_on(tmp_path).startswith("ValueError: Training set not found or empty")


def test_checks_page_in_docs_is_up_to_date(capsys):
    with pytest.raises(SystemExit):
        cli.main(["checks", "--markdown"])
    assert (paths.ROOT / "docs" / "checks.md").read_text(encoding="utf-8") == capsys.readouterr().out  # make baseline


@pytest.mark.parametrize(
    "key",
    ["batch_size", "iters", "max_seq_length", "num_layers", "val_batches", "learning_rate", "mask_prompt", "test"]
    + ["adapter_path", "data", "lora_parameters", "fine_tune_type", "resume_adapter_file", "hf_dataset", "ftstudy"],
)
@pytest.mark.parametrize("value", [True, -1, 1.5, "x\0y", [1], {"a": []}], ids=repr)
def test_any_value_yields_findings_or_a_sentence(clean, tmp_path, key, value):
    config = {"model": "tiny", "data": str(clean), "train": True, "mask_prompt": True, "batch_size": 2, "num_layers": 2}
    (tmp_path / "config.yaml").write_text(json.dumps(config | {"adapter_path": str(tmp_path / "adapter"), key: value}))
    try:
        subject = audit.read(tmp_path / "config.yaml")
        assert audit.offer_contract(subject, audit.check(subject)["findings"])
    except StudyError as refused:
        assert "\n" not in str(refused)
