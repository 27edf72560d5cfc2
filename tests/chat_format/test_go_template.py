"""Go's templates as Ollama uses them; the expected texts follow the rules of Go's text/template package."""

import contextlib

import pytest
from conftest import refused
from ftstudy.chat_format import go_rendering, go_template
from ftstudy.errors import StudyError
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = {
    "System": "Be Sam.",
    "Prompt": "hey",
    "Response": "",
    "Tools": [],
    "Messages": [{"Role": "user", "Content": "a"}, {"Role": "assistant", "Content": "b"}],
}


def written(text, **changes):
    return go_rendering.render(go_template.parse(text), DATA | changes)


@pytest.mark.parametrize(
    "template, text",
    [
        ("{{ .Prompt }}", "hey"),
        ("a {{- .Prompt -}} \n b", "aheyb"),
        ("a {{.Prompt}} b", "a hey b"),
        ("{{ .Prompt -}} \n b {{ .Prompt }} c{{ .Prompt }}", "heyb hey chey"),
        ("{{- /* {{ .Prompt }} is not read */ -}} x", "x"),
        ("{{ if .System }}S{{ else }}N{{ end }}", "S"),
        ("{{ if .Tools }}T{{ else if .Response }}R{{ else }}N{{ end }}", "N"),
        ("{{ if and .System (not .Tools) }}yes{{ end }}", "yes"),
        ("{{ and .Tools .System }}{{ or .Response .Prompt }}", None),
        ("{{ or .Response .Prompt }}", "hey"),
        ('{{ if or (eq .Prompt "no" "hey") .Tools }}yes{{ end }}', "yes"),
        ('{{ if ne .Prompt "hey" }}no{{ end }}', ""),
        ("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}", "<user>a<assistant>b"),
        ("{{ range $i, $m := .Messages }}{{ $i }}{{ $m.Content }}{{ $.Prompt }}{{ end }}", "0ahey1bhey"),
        ("{{ range $m := .Messages }}{{ $m.Content }}{{ end }}", "ab"),
        ("{{ range .Tools }}x{{ else }}none{{ end }}", "none"),
        ('{{ range .Messages }}{{ if eq .Role "user" }}{{ continue }}{{ end }}{{ .Content }}{{ end }}', "b"),
        ("{{ range .Messages }}{{ .Content }}{{ break }}{{ end }}", "a"),
        (
            "{{ range $i, $_ := .Messages }}{{ if eq (len (slice $.Messages $i)) 1 }}last {{ .Content }}{{ end }}{{ end }}",
            "last b",
        ),
        ('{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ end }}{{ $x }}', "b"),
        ('{{ $x := "a" }}{{ if true }}{{ $x := "b" }}{{ end }}{{ $x }}', "a"),
        ("{{ with .System }}[{{ . }}]{{ end }}", "[Be Sam.]"),
        ("{{ with .Response }}[{{ . }}]{{ else }}{{ .Prompt }}{{ end }}", "hey"),
        ("{{ (index .Messages 1).Content }}", "b"),
        ('{{ .Prompt | len | printf "%d" }}', "3"),
        ('{{ printf "%s: %q" .Prompt "x" }}', 'hey: "x"'),
        ('{{ "a\\n}}" }}{{ `b\\n` }}', "a\n}}b\\n"),
        ("{{ json .Messages }}", '[{"Role":"user","Content":"a"},{"Role":"assistant","Content":"b"}]'),
        ("{{ .Missing }}", "<no value>"),
        ("{{ if .Tools }}{{ currentDate }}{{ end }}not reached", "not reached"),
        ("{{ eq 1 1 }}", "true"),
        ("{{ if false }}a{{ else }}b{{ end }}", "b"),
    ],
)
def test_template_is_rendered_as_go_does(template, text):
    if text is None:
        refused(lambda: written(template), "a list printed as a whole")
    else:
        assert written(template) == text


@pytest.mark.parametrize(
    "template, construct",
    [
        ('{{ template "turn" . }}', "{{ template }}"),
        ('{{ define "turn" }}x{{ end }}', "{{ define }}"),
        ("{{ .Prompt ) }}", "')'"),
        ("{{ currentDate }}", "the function currentDate"),
        ('{{ printf "%05d" 3 }}', "printf"),
        ("{{ if .System }}x", "without an {{ end }}"),
        ("x {{ end }}", "{{ end }}"),
        ("{{ .Prompt", "not closed"),
        ("{{ $name }}", "$name"),
        ("{{ .Prompt.Name }}", ".Name"),
        ("{{ range .Prompt }}x{{ end }}", "range .Prompt"),
        ("{{ .Prompt 3 }}", "arguments"),
        ("{{ }}", "{{"),
        ("{{ index .Messages 9 }}", "index"),
        ("{{ lt .Prompt 3 }}", "lt"),
        ("{{ len }}", "len"),
        ("{{ 'a' }}", "'a'"),
    ],
)
def test_what_goes_beyond_is_refused_by_name(template, construct):
    refused(lambda: written(template), construct, "ftstudy record")


def test_braces_in_a_message_are_not_actions():
    assert written("{{ .Prompt }}", Prompt="{{ .System }}") == "{{ .System }}"


def test_fields_of_every_branch_are_known():
    text = "{{ if .A }}{{ range $m := .B }}{{ $m.C }}{{ end }}{{ else }}{{ (index .D 0).E }}{{ end }}"
    assert go_template.fields(go_template.parse(text)) == {"a", "b", "c", "d", "e"}


PIECES = "{{ }} {{- -}} if else end range with .Messages .Prompt $ $x := =".split() + [" "]
PIECES += '( ) , eq len index slice printf "a" "\\x" `b` 1 true nil /* */ é'.split() + ["|"]


@given(st.lists(st.sampled_from(PIECES), max_size=25))
@settings(max_examples=500, deadline=None)
def test_any_template_is_rendered_or_refused(pieces):
    for text in ("".join(pieces), "{{ " + " ".join(pieces) + " }}", "{{ if " + " ".join(pieces) + " }}x{{ end }}"):
        with contextlib.suppress(StudyError):
            assert isinstance(written(text), str)


def test_deep_nesting_is_refused():
    refused(lambda: written("{{ if true }}" * 5000 + "{{ end }}" * 5000), "nested")
    refused(lambda: written("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"), "nested")
