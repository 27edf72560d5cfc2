"""The report's page: what it says first, what it never leaves out, and what its edition to share leaves out."""

import hashlib
import re
from base64 import b64encode
from html import unescape
from html.parser import HTMLParser

import pytest
from conftest import cases
from ftstudy import diagnosis
from ftstudy.diagnosis import evidence
from ftstudy.errors import StudyError
from ftstudy.report import headline, invisible_characters, page, prompt_diff, sharing
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape
from report_results import CONTEXT, SYSTEM, finding, proven, results, save


class Reader(HTMLParser):
    """The elements of a page, and which ids and links it has."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.outside, self.handlers = [], [], [], []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name == "href" and tag == "a":
                self.links.append(value)
            if name in ("src", "href", "action") and not value.startswith("#"):
                self.outside.append((tag, value))
            if name.startswith("on"):
                self.handlers.append((tag, name))


def built(tmp_path, found=None, share=False):
    run = save(tmp_path / "reports" / "mine", found or results())
    return page.build(run, share=share).read_text(encoding="utf-8")


def text_of(html):
    visible = re.sub(r"<(style|script)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", visible)).split())


def first_screen(html):
    return text_of(html[html.index('<section id="verdict"') : html.index('<section id="wrong"')])


def test_the_first_screen_says_verdict_proof_tiles_and_what_to_do(tmp_path):
    said = first_screen(built(tmp_path))
    assert "Not usable yet: its replies do not end" in said
    assert "made the replies that were really sent 27% more likely , per word piece (95% sure: 22% to 35%)" in said
    assert "But only 35% of its replies end by themselves." in said and "The likeliest cause:" in said
    tiles = "✓ better +27%", "✗ broken 35%", "✗ differs 50 of 50", "≈ no clear gain 4 examples", "✓ fair 40 replies"
    for tile in tiles:
        assert tile in said
    assert "nats" not in said.partition("How the verdict was reached")[0]  # they are in tooltips
    assert "Do this next" in said and "ftstudy prove my.yaml --inference historical --run mine" in said


def test_at_most_three_things_to_do_and_no_command_twice(tmp_path):
    html = built(tmp_path)
    steps = re.findall(r"<li><b>.*?</li>", html[html.index('id="next"') : html.index('id="wrong"')], re.DOTALL)
    commands = re.findall(r'data-copy="([^"]*)"', "".join(steps))
    assert 1 <= len(steps) <= 3 and len(set(commands)) == len(commands) >= 1


def test_the_worst_cause_is_first_and_causes_with_one_fix_are_one_thing_to_do():
    def cause(name, fix, apply=""):
        return {"what": name, "fix": fix, "apply": apply, "prove": "measure", "kind": "measured"}

    causes = [cause("A", "do x"), cause("B", "do y", "make y"), cause("C", "do x"), cause("D", "do z", "make y")]
    steps = headline.steps({"causes": causes}, "make blind", 4, judged=False)
    assert [(one["title"], one["command"]) for one in steps] == [
        ("do x", ""),
        ("do y", "make y"),
        ("Then measure again.", "measure"),
    ]


def test_a_usable_model_has_no_likeliest_cause_of_failure():
    found = evidence.gather({name: results()[name] for name in diagnosis.RESULTS}, "mine")
    causes = diagnosis.diagnose({name: results()[name] for name in diagnosis.RESULTS}, "mine")["causes"]
    said = [one["text"] for one in headline.lead(found, {"usable": True, "steps": []}, causes)]
    assert said[-1].startswith("It could still be better:") and len(said) == 2


def test_nothing_to_fix_leads_to_the_blind_test(tmp_path):
    diagnosed = {"verdict": {"steps": []}, "causes": []}
    assert [one["command"] for one in headline.steps(diagnosed, "make blind RUN=mine", 4, judged=False)] == [
        "make blind RUN=mine"
    ]
    assert headline.steps(diagnosed, "make blind RUN=mine", 4, judged=True) == []


@pytest.mark.parametrize("severity", ["error", "warning", "info"])
@pytest.mark.parametrize("family", ["data", "parity", "config", "loss", "adapter", "splits"])
def test_findings_of_every_family_are_on_the_page(tmp_path, family, severity):
    found = results()
    found["format_audit"]["own_findings"][0] |= {
        "check": f"{family}.something",
        "severity": severity,
        "title": "Look here",
    }
    audit = built(tmp_path, found).partition('<section id="audit"')[2]
    assert f"{family}.something" in audit and "Look here" in audit


def test_what_was_checked_and_right_and_what_was_not_checked(tmp_path):
    audit = text_of(built(tmp_path).partition('<section id="audit"')[2])
    assert "Checked and passed ✓ mlx-lm can load the base model models/SmolLM2." in audit
    assert "Not checked ? test.jsonl: not in data/raw_style_variable." in audit


def test_a_forced_run_says_so_on_the_first_screen(tmp_path):
    assert "Forced" not in first_screen(built(tmp_path))
    found = results()
    found["training"]["configs"][0]["forced"] = ["data.empty", "config.unknown_key"]
    said = first_screen(built(tmp_path, found))
    assert "✗ Forced. This run was forced: it was trained although the audit found 2 errors" in said
    assert "data.empty and config.unknown_key" in said


def test_every_cause_is_a_fold_and_facts_share_one_line(tmp_path):
    html = built(tmp_path)
    wrong = html[html.index('<section id="wrong"') : html.index('<section id="replies"')]
    causes = diagnosis.diagnose({name: results()[name] for name in diagnosis.RESULTS}, "mine")["causes"]
    real = [one for one in causes if one["kind"] != "note"]
    assert wrong.count("finding cause") == len(real) >= 2
    assert wrong.count("worth knowing") == (len(real) < len(causes))
    places = [wrong.index(f"<b><bdi>{escape(one['what'])}") for one in real]
    assert places == sorted(places)


def test_contents_link_to_every_section_and_ids_are_unique(tmp_path):
    read = Reader()
    read.feed(html := built(tmp_path))
    sections = re.findall(r'<section id="([^"]*)"', html)
    assert [link for link in read.links if link != "#verdict"][-len(sections) + 1 :] == [
        f"#{one}" for one in sections[1:]
    ]
    assert len(read.ids) == len(set(read.ids))
    assert not read.outside and not read.handlers


def test_its_one_script_is_allowed_by_its_hash_and_nothing_else(tmp_path):
    html = built(tmp_path)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert "eval(" not in script and "innerHTML" not in script and "http" not in script


def test_the_original_report_is_only_in_the_demo(tmp_path):
    assert "The original report" not in built(tmp_path / "own")
    found = results()
    claim = {"number": 1, "statement": "Worse than baseline", "test": "t", "measurement": "`x`", "verdict": "refuted"}
    found["comparison"]["claims"] = [claim]
    html = built(tmp_path / "demo", found)
    original = html[html.index('<section id="original"') :]
    assert original.index("not to your fine-tune") < original.index("<details") < original.index("Worse than baseline")
    assert html.index('<section id="original"') > html.index('<section id="audit"')


def test_replies_have_marks_and_can_be_filtered(tmp_path):
    html = built(tmp_path)
    replies = html[html.index('<section id="replies"') : html.index('<section id="prompt"')]
    assert replies.count('class="sample loops cut"') == 3 and replies.count('class="sample "') == 6
    assert "↻ repeats itself" in replies and "✂ cut off" in replies and "3 more replies" in text_of(replies)
    assert "1 earlier line" in replies and re.search(r'<input type="radio" name="filter" value="loops">', replies)


def test_older_samples_without_marks_still_show_what_was_cut(tmp_path):
    found = results()
    for one in found["comparison"]["samples"]:
        for reply in one["replies"]:
            del reply["marks"]
    assert "✂ cut off" in built(tmp_path, found)


def test_the_diff_marks_what_is_invisible(tmp_path):
    html = built(tmp_path)
    assert "\u202e" not in html and "Hi··‹U+202E›you" in html
    assert '<code class="chip">&lt;|im_start|&gt;</code>' in html and f"<mark>{SYSTEM}</mark>" in html


def test_provenance_names_versions_machine_time_and_the_command(tmp_path):
    html = built(tmp_path)
    said = text_of(html[html.index('<section id="provenance"') :])
    for part in (
        "2026-11-27 10:09 UTC",
        "2 cores",
        "ftstudy 0.",
        "60214374b5ca",
        "make report RUN=mine CONFIG=my.yaml",
    ):
        assert part in said


@pytest.mark.parametrize("missing", ["extraction", "findings", "training", "comparison", "cost"])
def test_the_page_is_built_after_any_stage(tmp_path, missing):
    html = built(tmp_path, results() | {missing: None})
    assert "Debug report" in html and text_of(html)


def test_the_audit_alone_makes_a_page(tmp_path):
    found = dict.fromkeys(results()) | {name: results()[name] for name in ("findings", "format_audit")}
    html = built(tmp_path, found)
    assert "differs from training" in html and "Not known yet" in html


def test_evidence_and_commands_are_whole(tmp_path):
    found = results()
    found["format_audit"]["own_findings"][0]["evidence"] = [f"line {at}" for at in range(40)]
    html = built(tmp_path, found)
    assert all(f"line {at}" in html for at in range(40))


def test_evidence_without_end_is_cut_and_counted(tmp_path):
    found = results()
    found["format_audit"]["own_findings"] += [
        finding("data.repeated", "warning") | {"evidence": [f"line {at} " + "x" * 2000 for at in range(10_000)]}
    ]
    html = built(tmp_path, found)
    assert len(html.encode()) < 3_000_000
    assert "line 99 " in html and "line 100 " not in html and "… and 9,900 more, in findings.json" in html
    assert "… (2,007 characters)" in html


def test_no_literal_backticks_in_what_the_study_says(tmp_path):
    assert "`" not in text_of(built(tmp_path))


def test_no_sentence_twice_in_the_verdict(tmp_path):
    html = built(tmp_path)
    verdict = text_of(html[html.index('<section id="verdict"') : html.index('<section id="next"')])
    said = [one for one in re.split(r"(?<=[.:]) ", verdict) if len(one) > 40]
    assert len(said) == len(set(said)) > 8


# --- the edition to share


def test_the_shared_edition_has_the_numbers_and_nobodys_words(tmp_path):
    html = built(tmp_path, share=True)
    said = text_of(html)
    assert "27% more likely" in said and "✗ broken 35%" in said and "parity.system_text" in said
    for secret in ("Noor", "Sam ", "towels", "sure thing", "lake", "my chats", "data/raw", "tech founder", "my.yaml"):
        assert secret not in said, secret
    assert (tmp_path / "reports" / "mine" / "share.html").is_file()


def test_no_six_words_of_any_text_are_in_the_shared_edition(tmp_path):
    found, html = results(), built(tmp_path, share=True)
    texts = sharing.texts_of(found)
    assert {CONTEXT, SYSTEM} <= set(texts) and len(texts) > 20
    there = set(zip(*(re.findall(r"\w+", text_of(html).lower())[at:] for at in range(6))))
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        assert not there & set(zip(*(words[at:] for at in range(6)))), text


@given(st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=12), st.integers(0, 5))
def test_a_page_with_six_words_of_a_text_is_refused(words, start):
    text = " ".join(words)
    with pytest.raises(StudyError, match="was not written"):
        sharing.check(f"<p>before</p><p>{text.upper()}</p>", [text])
    sharing.check(f"<p>{' '.join(words[:5])}</p>", ["never said " * 3])


def test_a_quotation_or_path_in_a_cause_is_left_out_of_the_shared_edition(tmp_path):
    found = results()
    title = (
        "Row 3 of data/raw/train.jsonl says “meet me behind the old mill at nine” and 'my secret words are these here'"
    )
    found["format_audit"]["own_findings"][1]["title"] = title
    said = text_of(built(tmp_path, found, share=True))
    assert "mill" not in said and "secret" not in said and "data/raw" not in said


SECRET = "Zoltanka"


def with_a_secret(value, kept=("historical", "aligned")):
    """Results in which every text that somebody could have chosen has a name in it."""
    free = {"config", "name", "model", "data", "adapter", "source", "owner", "title", "fix", "cause", "where"}
    free |= {"step", "why", "arm", "told", "stopped", "asked_for", "inference", "listing", "held", "not_checked"}
    free |= {"trained", "evidence", "notes", "examples", "run_id", "split", "schema", "unit", "aspect", "check"}
    if isinstance(value, list):
        return [with_a_secret(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: with_a_secret(one) for key, one in value.items()}
    for key in free & set(made):
        if isinstance(made[key], str) and made[key] not in (*kept, "base", "tuned", "aligned, 4 examples", "train"):
            made[key] = f"{made[key]} {SECRET}"
        elif isinstance(made[key], list) and all(isinstance(one, str) for one in made[key]):
            made[key] = [f"{one} {SECRET}" for one in [*made[key], "more"]]
    return made


def renamed(value, old, new):
    """With one name of a prompt format or a model instead of another, wherever it is."""
    if isinstance(value, dict):
        return {renamed(key, old, new): renamed(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [renamed(one, old, new) for one in value]
    return new if value == old else value


def test_no_name_of_a_run_config_app_folder_or_person_is_in_the_shared_edition(tmp_path):
    found = with_a_secret(results())
    found["extraction"]["variants"] = {f"{SECRET} chats": {"train": {"bytes": 1, "examples": 160}}}
    found["extraction"] |= {"masked": {SECRET: 3, "phone": 2}, "kind": f"kind of {SECRET}"}
    found["training"]["configs"][0] |= {"stopped": f"at {SECRET}", "diverged": True, "forced": [SECRET, "data.empty"]}
    found["comparison"]["trained"] = found["training"]["configs"][0]["name"]
    found["comparison"]["models"].append(
        {
            "name": f"{SECRET} two",
            "base": "base",
            "config": f"{SECRET} two",
            "seed": 1,
            "option": None,
            "own": "aligned",
        }
    )
    found["comparison"]["left_out"] = [{"arm": f"{SECRET}, aligned", "why": f"{SECRET} failed"}]
    found["cost"] |= {f"training {SECRET} two": {"seconds": 9.0}, SECRET: {"seconds": 1.0}}
    spent = {"seconds": 1.0, "tokens_per_second": 3.0, "peak_memory_gigabytes": 1.0}
    found["cost"]["arms"] = {f"scoring {SECRET} two, historical": spent}
    run = save(tmp_path / f"run of {SECRET}", renamed(found, "historical", f"app of {SECRET}"))
    assert SECRET in page.build(run).read_text(encoding="utf-8")
    html = page.build(run, share=True).read_text(encoding="utf-8")
    assert SECRET.lower() not in unescape(html).lower()
    assert "27% more likely" in text_of(html) and "with the prompt “<bdi>your app</bdi>”" in html


def test_the_shared_edition_has_the_same_verdict_and_causes(tmp_path):
    found = results()
    whole = diagnosis.diagnose({name: found[name] for name in diagnosis.RESULTS}, "mine")
    shared = sharing.without_words(found)
    said = diagnosis.diagnose({name: shared[name] for name in diagnosis.RESULTS})
    assert said["verdict"]["headline"] == whole["verdict"]["headline"]
    assert [(one["severity"], one["cost"]) for one in said["causes"]] == [
        (one["severity"], one["cost"]) for one in whole["causes"]
    ]
    assert found == results()  # nothing was changed in place


@pytest.mark.parametrize("name", ["data/models/SmolLM2-135M-Instruct", "mlx-community/Qwen2.5-0.5B-Instruct-4bit"])
def test_a_public_base_model_is_named_in_the_shared_edition(tmp_path, name):
    found = results()
    found["training"]["configs"][0]["model"] = name
    assert name.split("/")[-1] in built(tmp_path, found, share=True)
    found["training"]["configs"][0]["model"] = f"{name}-of-noor"
    assert "noor" not in built(tmp_path, found, share=True)


# --- results from somebody else


def places(value, path=()):
    """The path of every value in results."""
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


PLACES = [path for path in places(results()) if len(path) > 1]
HOSTILE = '</script><script>alert(1)</script>"\' onload=alert(1) x="--><img src=x onerror=alert(1)>&#0;\u202e'


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), 10**400, -1, [], {}, "", [[]], HOSTILE, True])
def test_wrong_values_make_a_page_or_a_sentence(tmp_path, value, share):
    for path in PLACES[len(str(value)[:9]) + 7 * share :: 151]:
        found = results()
        held = found
        for key in path[:-1]:
            held = held[key]
        held[path[-1]] = value
        try:
            html = built(tmp_path, found, share)
        except StudyError as error:
            assert "not what this version of ftstudy writes" in str(error)
        else:
            assert html.count("<script") == 1 and "<img" not in html


def test_missing_keys_make_a_page_or_a_sentence(tmp_path):
    found = results()
    del found["comparison"]["arms"][0]["model"]
    with pytest.raises(StudyError, match="could not be made into a page.*KeyError: 'model'"):
        built(tmp_path, found)


def with_hostile_texts(value):
    if isinstance(value, dict):
        return {key: one if key in ("severity", "verdict") else with_hostile_texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_hostile_texts(one) for one in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) and value not in STAY else value


STAY = cases("""
    cut | loops | prompt | reply | base | tuned | aligned | historical | aligned, 4 examples | my | my.yaml | test
    train | messages
""")


@pytest.mark.parametrize("share", [False, True])
def test_hostile_texts_stay_text(tmp_path, share):
    found = with_hostile_texts(results())
    found["comparison"]["preference_pairs"] = results()["comparison"]["preference_pairs"]
    html = built(tmp_path, found, share)
    read = Reader()
    read.feed(html)
    assert not read.handlers and not read.outside and html.count("<script") == 1 and "<img" not in html


# --- words


@pytest.mark.parametrize(
    "nats, said",
    [(-0.24, "27% more likely"), (0.24, "21% less likely"), (-1.3, "3.7 times as likely"), (-3, "20 times as likely")],
)
def test_a_difference_in_everyday_words(nats, said):
    assert headline.likelier(nats) == said


def test_an_interval_in_everyday_words():
    assert headline.likelier_range([-0.3, -0.2]) == "22% to 35%"
    assert headline.likelier_range([0.2, 0.3]) == "18% to 26%"
    assert headline.likelier_range([-0.1, 0.05]) == "5% less to 11% more"
    assert headline.likelier_range([-4.2, -2.8]) == "16 to 67 times"


@given(st.floats(-30, 30, allow_nan=False), st.floats(0, 3))
def test_any_difference_can_be_said(nats, width):
    assert "likely" in headline.likelier(nats) and " to " in headline.likelier_range([nats - width, nats + width])


def changed(**verdicts):
    """Tiles of a run whose differences have other verdicts."""
    found = results()
    for row in found["comparison"]["differences"]:
        key = (
            "gain"
            if row["right"][0] == "base" and row["left"][1] == row["right"][1]
            else "shots"
            if "4 examples" in row["right"][1]
            else "cost"
        )
        row["verdict"] = verdicts.get(key, row["verdict"])
    gathered = evidence.gather({name: found[name] for name in diagnosis.RESULTS}, "mine")
    return {one["word"] for one in headline.tiles(gathered, found["format_audit"]["parity"]["inference"])}


@pytest.mark.parametrize(
    "verdicts, word",
    [
        ({"gain": "worse"}, "worse"),
        ({"gain": "not distinguishable"}, "no clear change"),
        ({"shots": "better"}, "training wins"),
        ({"shots": "worse"}, "prompting wins"),
    ],
)
def test_a_tile_for_each_verdict(verdicts, word):
    assert word in changed(**verdicts)


def test_tiles_without_an_app_or_a_comparison():
    found = evidence.gather(dict.fromkeys(diagnosis.RESULTS), "mine")
    assert [one["word"] for one in headline.tiles(found, None)] == ["not measured", "not measured", "not known"]


# --- the diff


class Words:
    """A tokenizer of words: token n is the n-th word."""

    all_special_ids = [0]

    def __init__(self, *words):
        self.words = words

    def decode(self, ids):
        return "".join(self.words[one] for one in ids)


def block(equal, training, inference=None):
    return {
        "aspect": "a",
        "equal": equal,
        "training": training,
        "inference": training if inference is None else inference,
    }


def test_small_islands_are_joined_and_control_tokens_stand_alone():
    words = Words("<end>", "You", " are", " Sam", ".", " Hi", " there", "!")
    blocks = [
        block(True, [0, 1, 2]),
        block(False, [3], [5]),
        block(True, [4]),
        block(False, [6], [7]),
        block(True, [0]),
    ]
    sides = prompt_diff.diff({"blocks": blocks}, words)
    assert sides["training"] == [
        ["<end>", False, True],
        ["You are", False, False],
        [" Sam. there", True, False],
        ["<end>", False, True],
    ]
    assert sides["inference"] == [
        ["<end>", False, True],
        ["You are", False, False],
        [" Hi.!", True, False],
        ["<end>", False, True],
    ]


def test_an_island_of_three_words_stays_and_one_of_four_letters_not():
    words = Words("<end>", "a", "b", "c", "d", "e")
    blocks = [block(False, [1], [2]), block(True, [3, 4, 5]), block(False, [1], [2])]
    assert prompt_diff.diff({"blocks": blocks}, words)["training"] == [["acdea", True, False]]
    words = Words("<end>", "a", "b", "one ", "two ", "three")
    blocks = [block(False, [1], [2]), block(True, [3, 4, 5]), block(False, [1], [2])]
    assert [piece[1] for piece in prompt_diff.diff({"blocks": blocks}, words)["training"]] == [True, False, True]


@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 5), max_size=5), st.lists(st.integers(0, 5), max_size=5)))
)
def test_a_diff_loses_no_token(drawn):
    words = Words("<end>", *"abcde")
    blocks = [block(equal, left, left if equal else right) for equal, left, right in drawn]
    sides = prompt_diff.diff({"blocks": blocks}, words)
    for side in ("training", "inference"):
        whole = words.decode([one for each in blocks for one in each[side]])
        assert "".join(piece[0] for piece in sides[side]) == whole


@given(st.text(max_size=60), st.booleans())
def test_marked_text_shows_every_character(text, differs):
    shown = invisible_characters.piece(text, differs)
    assert all(one.isprintable() or one in "\n\u200d\u200c\ufe0f " for one in shown)
    assert sum(one.isalnum() for one in shown) >= sum(one.isalnum() for one in text)


def test_a_long_shared_text_is_shortened_to_its_ends():
    shown = invisible_characters.piece("a" * 300 + "b" * 300, differs=False)
    assert (
        shown.startswith("a" * 150 + " ") and shown.endswith("b" * 150) and "300 characters that are the same" in shown
    )
    assert invisible_characters.piece("a" * 600, differs=True) == "a" * 600


# --- the fix, proved -------------------------------------------------------------------------------------------------


def proved(**changes):
    found = results()
    found["proof"] = proven() | changes
    return found


def test_a_proof_is_on_the_first_screen_and_in_a_section_of_its_own(tmp_path):
    html = built(tmp_path, proved())
    said = first_screen(html)
    assert "Fixed and trained again, it makes them 36% more likely than its base does (95% sure: 25% to 49%)." in said
    assert "Train the repaired copy, and use it." in said and "reports/mine/fixed/config.yaml" in said
    assert "likelihood, once fixed" in said and "+36%" in said
    section = text_of(html[html.index('<section id="proof"') : html.index('<section id="replies"')])
    assert "0.500 (0.400 to 0.600)" in section and "not distinguishable" in section and "not measured alone" in section
    assert "cut to 50 iterations at most" in section and "2 held-out replies were left out" in section


def test_a_run_without_a_proof_says_nothing_of_one(tmp_path):
    html = built(tmp_path)
    assert 'id="proof"' not in html and "once fixed" not in text_of(html)


def test_a_proof_of_nothing_wrong_is_one_sentence(tmp_path):
    found = results() | {"proof": {"faults": [], "helped": None, "sentence": "There is nothing to prove."}}
    html = built(tmp_path, found)
    assert "There is nothing to prove." in text_of(html[html.index('<section id="proof"') :])


def test_a_fix_of_a_training_that_gave_no_model_is_on_the_first_screen(tmp_path):
    sentence = "As it was, training gave no usable model; as fixed, better than its base by 0.31."
    broken = {"cost": None, "broken": True}
    faults = [one | broken for one in proven()["faults"]]
    found = proved(was=None, helped=None, was_broken=True, sentence=sentence, faults=faults)
    html = built(tmp_path, found)
    assert "Fixed and trained again: as it was, training gave no usable model" in first_screen(html)
    assert "intervals over <" not in html and "training gives no usable model" in text_of(html)
    assert "training gave no usable model" in text_of(built(tmp_path, found, share=True))


def test_a_proven_cost_stands_in_the_diagnosis_and_one_that_is_none_is_slight():
    found = proved()
    found["proof"]["faults"].append(found["proof"]["faults"][1] | {"id": "too_many_epochs", "fault": "too many epochs"})
    made = {one["id"]: one for one in diagnosis.diagnose(found)["causes"]}
    assert made["learning_rate"]["kind"] == "measured" and made["learning_rate"]["cost"]["nats"] == 0.5
    assert made["too_many_epochs"]["kind"] == "slight" and "prompt_trained" not in made
    assert any("trained with it and without it" in line for line in made["learning_rate"]["evidence"])


def test_a_fault_that_was_better_left_in_says_so():
    found = proved()
    found["proof"]["faults"][0]["cost"] |= {"verdict": "better", "nats_per_reply_token": -0.2, "interval": [-0.3, -0.1]}
    cause = next(one for one in diagnosis.diagnose(found)["causes"] if one["id"] == "learning_rate")
    assert cause["kind"] == "slight" and "It was better left as it was" in cause["evidence"][0]


def test_a_proof_to_share_has_its_numbers_and_none_of_its_texts(tmp_path):
    found = proved(prompt_not_measured="no prompt was recorded for my zebra row")
    found["proof"]["faults"][0]["notes"] = ["who is bringing the big tent on saturday then"]
    said = text_of(built(tmp_path, found, share=True))
    assert "0.500 (0.400 to 0.600)" in said and "The learning rate" in said
    assert "zebra" not in said and "big tent" not in said


def test_the_demo_that_works_tells_of_the_one_that_fails_where_both_were_made(tmp_path):
    found = results()
    found["format_audit"]["staged"] = {"before": [], "after": [], "trainer": "loads 0 rows without an error"}
    save(tmp_path / "reports" / "broken", {"proof": proven()})
    run = save(tmp_path / "reports" / "demo", found)
    html = page.build(run).read_text(encoding="utf-8")
    assert "The same chats in a fine-tune that failed: As it was, worse than its base by 0.41" in first_screen(html)
    assert "../broken/index.html" in html
