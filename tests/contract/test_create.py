# SPDX-License-Identifier: GPL-3.0-or-later
"""Create: from an uploaded GGUF file, and from a model that is there."""

from __future__ import annotations

import time
import typing as t

import pytest

from tests.contract import weights
from tests.contract.server import Server, failure
from tests.contract.target import TARGET
from tests.contract.weights import TEMPLATE

STOPS = [["stop", '"<|im_end|>"'], ["stop", '"<|im_start|>"']]
NOTHING = "sha256:" + "0" * 64


def parameters(server: Server, model: str) -> list[list[str]]:
    """The parameters as the server prints them, sorted: their order is chance."""
    return sorted(line.split() for line in server.show(model).get("parameters", "").splitlines())


def kinds(lines: t.Iterable[dict[str, t.Any]]) -> list[str]:
    """What the lines of a create say, without the digests."""
    return [line["status"].split(" sha256:")[0] for line in lines]


@pytest.fixture(scope="module")
def known(server: Server, run: str) -> str:
    """The digest of an uploaded GGUF file whose chat template is a known one."""
    return server.upload(weights.model(f"{run} in ChatML", chat_template=weights.CHATML))


class TestFromAFile:
    def test_the_lines(self, server: Server, gguf: str, name: str) -> None:
        lines = kinds(
            server.create(name, files={"x.gguf": gguf}, template=TEMPLATE, system=f"I am {name}.")
        )
        assert lines[0] == "parsing GGUF"
        assert lines[-2:] == ["writing manifest", "success"]
        assert {"using existing layer", "creating new layer"} <= set(lines)

    def test_the_weights_are_kept_or_rewritten(self, server: Server, gguf: str, name: str) -> None:
        server.create(name, files={"x.gguf": gguf}, template=TEMPLATE)
        verbatim = f"sha256:{server.weights(name)}" == gguf
        assert verbatim is TARGET.since({"0.9": True, "0.30": False}, standin=True)
        # Kept or rewritten, the upload does not go by itself.
        assert server.http.head(f"/api/blobs/{gguf}").status_code == 200

    def test_the_same_request_gives_the_same_digest(
        self, server: Server, gguf: str, names: t.Iterator[str]
    ) -> None:
        one, two = next(names), next(names)
        body: dict[str, t.Any] = {
            "files": {"x.gguf": gguf},
            "template": TEMPLATE,
            "parameters": {"stop": ["X"], "num_ctx": 64, "top_p": 0.25},
        }
        for model in (one, two):
            server.create(model, **body)
        first = server.tags()[f"{one}:latest"]
        assert server.digest(two) == first["digest"]
        time.sleep(0.02)
        server.create(one, **body)
        again = server.tags()[f"{one}:latest"]
        assert again["digest"] == first["digest"]
        assert again["modified_at"] != first["modified_at"]

    def test_every_difference_is_another_digest(self, server: Server, gguf: str, name: str) -> None:
        digests = set()
        for system in ("one", "two", None):
            body = {"system": system} if system else {}
            server.create(name, files={"x.gguf": gguf}, template=TEMPLATE, **body)
            digests.add(server.digest(name))
        assert len(digests) == 3

    def test_a_known_chat_template_becomes_a_template_and_stops(
        self, server: Server, known: str, name: str
    ) -> None:
        lines = server.create(name, files={"x.gguf": known})
        assert {"status": "using autodetected template chatml"} in lines
        assert "<|im_start|>{{ .Role }}" in server.show(name)["modelfile"]
        assert parameters(server, name) == STOPS

    def test_a_template_of_ones_own_leaves_the_detected_stops(
        self, server: Server, known: str, name: str
    ) -> None:
        server.create(name, files={"x.gguf": known}, template=TEMPLATE, parameters={"top_k": 1})
        assert "<|im_start|>{{ .Role }}" not in server.show(name)["modelfile"]
        assert parameters(server, name) == [*STOPS, ["top_k", "1"]]

    def test_stops_of_ones_own_replace_the_detected_ones(
        self, server: Server, known: str, name: str
    ) -> None:
        server.create(name, files={"x.gguf": known}, parameters={"stop": ["X"]})
        assert parameters(server, name) == [["stop", '"X"']]

    def test_an_unknown_chat_template_becomes_none(self, server: Server, name: str) -> None:
        content = weights.model(name, chat_template="{{ messages[-1].content }}" + "{# x #}" * 99)
        server.create(name, files={"x.gguf": server.upload(content)})
        assert "TEMPLATE {{ .Prompt }}\n" in server.show(name)["modelfile"]
        assert parameters(server, name) == []

    def test_parameters_are_stored_unread(self, server: Server, gguf: str, name: str) -> None:
        server.create(
            name,
            files={"x.gguf": gguf},
            template=TEMPLATE,
            parameters={"temperature": "hot", "nonsense": 1},
        )
        assert parameters(server, name) == [["nonsense", "1"], ["temperature", '"hot"']]
        answer = server.post("generate", model=name, prompt="x\n", stream=False)
        assert failure(answer) == (500, 'option "temperature" must be of type float32')

    @pytest.mark.parametrize(
        ("files", "status", "text"),
        [
            ({"x.gguf": NOTHING}, 500, "{blob}: no such file or directory"),
            ({"x.gguf": "zzz"}, 500, "invalid digest format"),
            ({"x.bin": NOTHING}, 400, "unknown type"),
            ({"/x.gguf": NOTHING}, 400, "file path must be relative"),
            ({"../x.gguf": NOTHING}, 400, "file path must be relative"),
            ({"x.gguf": ""}, 400, "invalid digest format"),
            ({}, 400, "unknown type"),
        ],
    )
    def test_what_is_wrong_with_files(
        self, server: Server, name: str, files: dict[str, str], status: int, text: str
    ) -> None:
        got, told = failure(server.post("create", model=name, files=files, stream=False))
        expected = text.replace("{blob}", "/blobs/" + NOTHING.replace(":", "-"))
        assert (got, told[-len(expected) :]) == (status, expected)
        assert f"{name}:latest" not in server.tags()

    def test_what_is_no_gguf(self, server: Server, name: str) -> None:
        body = {"model": name, "files": {"x.gguf": server.upload(b"not a model")}}
        assert failure(server.post("create", **body, stream=False)) == (
            400,
            "supplied file was not in GGUF format",
        )
        lines = server.lines("create", **body)
        assert lines == [
            {"status": "parsing GGUF"},
            {"error": "supplied file was not in GGUF format"},
        ]

    def test_neither_file_nor_base(self, server: Server, name: str) -> None:
        answer = server.post("create", model=name)
        assert failure(answer) == (400, "neither 'from' or 'files' was specified")


class TestFromABase:
    def test_the_same_weights(self, server: Server, base: str, name: str) -> None:
        lines = server.create(name, **{"from": base})
        assert set(kinds(lines[:-2])) == {"using existing layer"}
        assert server.weights(name) == server.weights(base)
        assert server.show(name)["details"]["parent_model"] == f"{base}:latest"

    def test_what_is_not_said_stays(self, server: Server, base: str, name: str) -> None:
        server.create(name, **{"from": base})
        shown, parent = server.show(name), server.show(base)
        for key in ("system", "template", "license", "messages"):
            assert shown[key] == parent[key]
        assert parameters(server, name) == parameters(server, base)

    def test_texts_are_replaced(self, server: Server, base: str, name: str) -> None:
        said = {
            "system": "Be long.",
            "template": "{{ .Prompt }}!\n",
            "messages": [{"role": "USER", "content": "Once"}],
        }
        server.create(name, **{"from": base}, **said)
        shown = server.show(name)
        assert shown["system"] == "Be long."
        assert 'TEMPLATE "{{ .Prompt }}!\n"' in shown["modelfile"]
        assert shown["messages"] == [{"role": "user", "content": "Once"}]

    def test_an_empty_text_removes_nothing(self, server: Server, base: str, name: str) -> None:
        server.create(name, **{"from": base}, system="", template="", messages=[], parameters={})
        assert server.show(name)["system"] == "Be short."
        assert parameters(server, name) == parameters(server, base)

    def test_parameters_are_merged_and_a_list_is_replaced(
        self, server: Server, base: str, name: str
    ) -> None:
        server.create(name, **{"from": base}, parameters={"stop": ["C"], "seed": 7})
        assert parameters(server, name) == [
            ["num_ctx", "128"],
            ["seed", "7"],
            ["stop", '"C"'],
            ["temperature", "0.5"],
        ]

    def test_licences_are_appended(self, server: Server, base: str, name: str) -> None:
        server.create(name, **{"from": base}, license="Mine.")
        assert server.show(name)["license"] == "One licence.\nAnother.\nMine."

    def test_the_same_request_gives_the_same_digest(
        self, server: Server, base: str, names: t.Iterator[str]
    ) -> None:
        one, two = next(names), next(names)
        for model in (one, two, one):
            server.create(model, **{"from": base}, system="Mine.")
        assert server.digest(one) == server.digest(two)

    def test_the_base_may_go(self, server: Server, base: str, names: t.Iterator[str]) -> None:
        parent, child = next(names), next(names)
        server.create(parent, **{"from": base}, system="A parent.")
        server.create(child, **{"from": parent})
        digest = server.digest(child)
        assert server.delete(parent).is_success
        assert server.digest(child) == digest
        assert server.show(child)["system"] == "A parent."

    def test_requires_is_kept_and_inherited(
        self, server: Server, base: str, names: t.Iterator[str]
    ) -> None:
        one, two = next(names), next(names)
        server.create(one, **{"from": base}, requires="0.14.0")
        server.create(two, **{"from": one})
        assert server.show(two)["requires"] == "0.14.0"

    def test_a_base_that_is_not_there_is_pulled(
        self, server: Server, nobody: str, name: str
    ) -> None:
        lines = server.lines("create", model=name, **{"from": f"{nobody}/library/x"})
        assert lines[0] == {"status": "pulling manifest"}
        assert lines[-1]["error"].startswith("pull model manifest: Get ")
        assert f"{name}:latest" not in server.tags()

    @pytest.mark.parametrize(
        ("body", "status", "text"),
        [
            ({"from": "b d"}, 400, "invalid model name"),
            ({"template": "{{ if .X }}"}, 400, "template error: template: :1: unexpected EOF"),
            ({"quantize": "nope"}, 500, ("unsupported quantization type NOPE - "
             "supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0")),
        ],
    )  # fmt: skip
    def test_an_error_leaves_the_model_as_it_was(
        self,
        server: Server,
        base: str,
        name: str,
        body: dict[str, str],
        status: int,
        text: str,
    ) -> None:
        server.create(name, **{"from": base})
        before = server.tags()[f"{name}:latest"]
        sent = {"from": base, **body}
        assert failure(server.post("create", model=name, **sent, stream=False)) == (status, text)
        assert server.tags()[f"{name}:latest"] == before
