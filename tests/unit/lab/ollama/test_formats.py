# SPDX-License-Identifier: GPL-3.0-or-later
"""Go's ways of writing things; the expected texts come from Go itself."""

from __future__ import annotations

import math
import typing as t
from pathlib import Path

import pytest

from lab.ollama import gofmt, gojson, gotemplate, schema, settings
from lab.ollama.errors import ApiError


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (1.0, "1"), (0.7, "0.7"), (1048576, "1.048576e+06"), (1e6, "1e+06"), (999999.0, "999999"),
        (1e21, "1e+21"), (1e-4, "0.0001"), (1e-5, "1e-05"), (123456789.5, "1.234567895e+08"),
        (-0.5, "-0.5"), (0, "0"), (True, "true"), ('a"b\n<日本>', '"a\\"b\\n<日本>"'),
        ("\u200d", '"\\u200d"'),
    ],
)  # fmt: skip
def test_sharp_v(item: t.Any, text: str) -> None:
    assert gofmt.quoted_value(item) == text


@pytest.mark.parametrize(
    ("count", "number", "size"),
    [
        (134515008, "134.52M", "134 MB"), (8 * 10**9, "8B", "8 GB"), (7615616512, "7.6B", "7.6 GB"),
        (2000, "2K", "2 KB"), (64, "64", "64 B"),
    ],
)  # fmt: skip
def test_human_numbers(count: int, number: str, size: str) -> None:
    assert (gofmt.human_number(count), gofmt.human_bytes(count)) == (number, size)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second ago"), (1, "1 second ago"), (75, "About a minute ago"),
        (-290, "4 minutes from now"), (3600 * 1.2, "About an hour ago"), (90000, "25 hours ago"),
        (86400 * 3, "3 days ago"), (86400 * 20, "2 weeks ago"), (-292 * 365.25 * 86400, "Forever"),
    ],
)  # fmt: skip
def test_human_time(seconds: float, text: str) -> None:
    assert gofmt.human_time(1e9 - seconds, 1e9) == text


def test_json_as_go_writes_it() -> None:
    assert gojson.dumps_sorted({"b": 1.0, "a": "<日本&>"}) == (
        '{"a":"\\u003c日本\\u0026\\u003e","b":1}\n'
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m", 300), ("1h15m30.5s", 4530.5), ("-1s", -1), ("0", 0), ("250ms", 0.25)],
)
def test_durations(text: str, seconds: float) -> None:
    assert settings.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"), [(-1, math.inf), ("-1m", math.inf), (0, 0), ("10s", 10), (2.5, 2.5)]
)
def test_keep_alive(value: t.Any, seconds: float) -> None:
    assert settings.request_keep_alive(value) == seconds


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("soon", 'time: invalid duration "soon"'),
        ("5", 'time: missing unit in duration "5"'),
        (True, "Unsupported type: 'bool'"),
    ],
)
def test_bad_keep_alive(value: t.Any, error: str) -> None:
    with pytest.raises(ApiError, match=error):
        settings.request_keep_alive(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("127.0.0.1", 11434, "http")),
        ("0.0.0.0:8080", ("0.0.0.0", 8080, "http")),
        ("http://example.org", ("example.org", 80, "http")),
        ("https://example.org/x", ("example.org", 443, "https")),
        ("1.2.3.4:nonsense", ("1.2.3.4", 11434, "http")),
        ("[::1]:99", ("::1", 99, "http")),
        (":1234", ("127.0.0.1", 1234, "http")),
    ],
)
def test_host(text: str, expected: tuple[str, int, str]) -> None:
    assert settings.parse_host(text) == expected


def test_environment() -> None:
    read = settings.from_environment(
        {
            "HOME": "/root", "OLLAMA_HOST": " '0.0.0.0' ", "OLLAMA_KEEP_ALIVE": "-1",
            "OLLAMA_NUM_PARALLEL": "2", "OLLAMA_CONTEXT_LENGTH": "nonsense",
            "OLLAMA_NOPRUNE": "yes", "OLLAMA_STANDIN_VERSION": "0.24.0",
        }
    )  # fmt: skip
    assert read == settings.Settings(
        host="0.0.0.0", models=Path("/root/.ollama/models"), keep_alive=math.inf, num_parallel=2,
        noprune=True, version="0.24.0",
    )  # fmt: skip
    assert read.full_version == "0.24.0+standin"


USER = {"role": "user", "content": "Hi 日本"}
TALK = [
    {"role": "system", "content": "S"},
    {"role": "user", "content": "A"},
    {"role": "assistant", "content": "B"},
    {"role": "user", "content": "C"},
]


@pytest.mark.parametrize(
    ("source", "one", "talk"),
    [
        ("{{ .Prompt }}", "Hi 日本", "ABC"),
        (
            "{{ if .System }}S:{{ .System }}{{ end }}|{{ .Prompt }}|{{ .Response }} tail",
            "|Hi 日本|",
            "S:S|A|B tail|C|",
        ),
        (
            (
                "{{ .System }}\n{{- if .Prompt }}\nUSER: {{ .Prompt }}\n{{ end }}ASSISTANT: "
                "{{ .Response }}{{ if .Response }}</s>{{ end }}"
            ),
            "\nUSER: Hi 日本\nASSISTANT: ",
            "S\nUSER: A\nASSISTANT: B</s>\nUSER: C\nASSISTANT: ",
        ),
        (
            (
                "{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}"
                '{{ if eq .Role "user" }}[{{ .Content }}]{{ else }}<{{ .Content }}>{{ end }}'
                "{{ if $last }}!{{ end }}{{- end }}{{/* end */}}"
            ),
            "[Hi 日本]!",
            "<S>[A]<B>[C]!",
        ),
        (
            (
                '{{ with .System }}<{{ . }}>{{ end }}{{ $x := "a" }}{{ if .Prompt }}{{ $x = "b" }}'
                '{{ end }}{{ $x }}{{ .Prompt | printf "%q" }}{{ len .Prompt }}'
            ),
            'b"Hi 日本"9',
            '<S>b"A"1Bb"C"1',
        ),
        (
            (
                '{{ range .Messages }}{{ if and (ne .Role "user") true }}{{ continue }}{{ end }}'
                '{{ .Content }}{{ if eq .Content "A" "Z" }}{{ break }}{{ end }}{{ end }}'
            ),
            "Hi 日本",
            "A",
        ),
    ],
)
def test_templates(source: str, one: str, talk: str) -> None:
    assert gotemplate.render_messages(source, [USER]) == one
    assert gotemplate.render_messages(source, TALK) == talk


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{{ if .X }}a", "template error: template: :1: unexpected EOF"),
        ("{{ nofunc .X }}", 'template error: template: :1: function "nofunc" not defined'),
        ("{{ .X", "template error: template: :1: unclosed action"),
    ],
)
def test_bad_templates(source: str, error: str) -> None:
    with pytest.raises(ApiError) as caught:
        gotemplate.check(source)
    assert (str(caught.value), caught.value.status) == (error, 400)


def test_schemas_are_closed() -> None:
    inner = {"type": "object", "properties": {"b": {"type": ["string", "null"]}}}
    given = {"properties": {"a": {"items": inner}}, "$defs": {"x": inner}}
    shut = {**inner, "additionalProperties": False}
    assert schema.closed(given) == {
        "properties": {"a": {"items": shut}},
        "$defs": {"x": shut},
        "additionalProperties": False,
    }
    assert "additionalProperties" not in inner
    open_one = {"properties": {}, "additionalProperties": {"type": "string"}}
    assert schema.closed(open_one) == open_one


@pytest.mark.parametrize("bad", [{"type": "nonsense"}, {"properties": {"a": {"type": "text"}}}])
def test_unknown_types_are_refused(bad: dict[str, t.Any]) -> None:
    with pytest.raises(ApiError, match="Unrecognized schema") as caught:
        schema.closed(bad)
    assert caught.value.status == 400
