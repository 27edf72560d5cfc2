"""Whatever bytes are in the files, the audit returns findings, or says in one sentence why it cannot run."""

import json
import shutil

import pytest
import yaml
from ftstudy import cli
from ftstudy.errors import StudyError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .studies import CONFIG, Study, build

RUNS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([10**400, -(10**310)])
    | st.sampled_from(["<|im_end|>", "\ud83d", "{context}", "\u200b", "assistant", "Sam: ok", "{% x %}"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=6
)  # fmt: skip
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant", "tool", ""]) | VALUES,
        "content": LEAVES | VALUES,
    },
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(MESSAGES | VALUES, max_size=4) | VALUES,
        "text": VALUES,
        "prompt": VALUES,
        "tools": VALUES,
    },
)
LINES = st.one_of(
    st.binary(max_size=40),
    (ROWS | VALUES).map(lambda row: json.dumps(row).encode()),
    ROWS.map(lambda row: json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)
FILES = st.lists(LINES, max_size=6).map(b"\n".join) | st.binary(max_size=200)
KEYS = [
    *CONFIG,
    "iters",
    "lr_schedule",
    "optimizer",
    "optimizer_config",
    "resume_adapter_file",
    "adapter_path",
    "ftstudy",
]
PROFILE_KEYS = ["kind", "system", "user", "template", "function", "file", "name", "instruction"]


@pytest.fixture(scope="module", autouse=True)
def offline():
    """A config without a model means mlx-lm's default model, which must not be downloaded here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Study:
    return build("texter-chatml-12", tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Study:
    return build("trained-chatml", tmp_path_factory.mktemp("trained"))


def answers(study: Study, name: str, data: bytes) -> None:
    """With other bytes in that file, the audit still returns findings or says why it cannot run."""
    path = study.folder / name
    before = path.read_bytes() if path.exists() else None
    try:
        path.write_bytes(data)
        report = study.audit()
        assert set(report) == {"findings", "summary", "held", "not_checked"}
        json.dumps(report).encode()
        assert all(len(line) <= 1000 for item in report["findings"] for line in item["evidence"])
    except StudyError as error:
        assert str(error) and "\n" not in str(error)
    finally:
        path.unlink() if before is None else path.write_bytes(before)


@RUNS
@given(split=st.sampled_from(["train", "valid", "test", "meta"]), data=FILES)
def test_any_bytes_in_the_data(clean, split, data):
    answers(clean, f"data/{split}.jsonl", data)


@RUNS
@given(rows=st.lists(ROWS, min_size=1, max_size=8))
def test_any_rows_in_all_splits(clean, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    before = {split: clean.data.joinpath(f"{split}.jsonl").read_bytes() for split in ("valid", "test")}
    for split in before:
        clean.data.joinpath(f"{split}.jsonl").write_bytes(text)
    try:
        answers(clean, "data/train.jsonl", text)
    finally:
        for split, data in before.items():
            clean.data.joinpath(f"{split}.jsonl").write_bytes(data)


@RUNS
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_in_the_config(clean, data):
    answers(clean, "config.yaml", data)


@RUNS
@given(changes=st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=10), VALUES, max_size=3))
def test_any_values_in_the_config(clean, changes):
    config = yaml.safe_load((clean.folder / "config.yaml").read_bytes())
    answers(clean, "config.yaml", yaml.safe_dump(config | changes).encode("utf-8", "replace"))


@RUNS
@given(data=st.binary(max_size=200))
def test_any_bytes_in_the_profile(clean, data):
    answers(clean, "profile.yaml", data)


@RUNS
@given(
    profile=st.dictionaries(st.sampled_from(PROFILE_KEYS), VALUES, max_size=4),
    kind=st.sampled_from(["messages", "template", "callable", "captured"]),
)
def test_any_values_in_the_profile(clean, profile, kind):
    answers(clean, "profile.yaml", yaml.safe_dump({"kind": kind} | profile).encode("utf-8", "replace"))


@RUNS
@given(data=FILES)
def test_any_bytes_in_the_captured_prompts(clean, data):
    clean.folder.joinpath("captured.jsonl").write_bytes(data)
    answers(clean, "profile.yaml", b"kind: captured\nfile: captured.jsonl\n")


@RUNS
@given(name=st.sampled_from(["adapter_config.json", "adapters.safetensors"]), data=FILES)
def test_any_bytes_in_the_adapter(trained, name, data):
    answers(trained, f"adapter/{name}", data)


@pytest.mark.parametrize("name", ["config.yaml", "profile.yaml"])
@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: [", b"just words", b""])
def test_command_says_in_one_sentence_why_it_cannot_run(clean, tmp_path, capsys, name, data):
    folder = tmp_path / "study"
    shutil.copytree(clean.folder, folder)
    (folder / name).write_bytes(data)
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", "--config", str(folder / "config.yaml"), "--inference", str(folder / "profile.yaml")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("ftstudy: ") and said.count("\n") == 1
