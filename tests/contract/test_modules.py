# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's modules against the server: what they promise, kept by a real one too."""

from __future__ import annotations

import importlib
import json
import secrets
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from tests.contract import weights
from tests.contract.server import JsonObject, Registry, Server
from tests.contract.target import TARGET
from tests.contract.weights import CHATML, SAID, TEMPLATE

Run = t.Callable[..., JsonObject]

MODELFILE = f'FROM x.gguf\nTEMPLATE """{TEMPLATE}"""\nPARAMETER stop <|im_end|>\n'
EVERYTHING = """FROM x.gguf
SYSTEM \"\"\"be
kind\"\"\"
LICENSE a
LICENSE b
MESSAGE user hi
PARAMETER temperature 0.7
PARAMETER num_ctx 128
PARAMETER seed 1048576
PARAMETER top_p 0.333333333
"""


@pytest.fixture
def run_module(
    server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> t.Iterator[Run]:
    """Run a module of the collection for this server; what is loaded goes again."""

    def run(module: str, *, check_mode: bool = False, **params: t.Any) -> JsonObject:
        url = str(server.http.base_url).rstrip("/")
        args = {
            "url": url,
            "timeout": 60,
            **params,
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(tmp_path),
        }
        package = "ansible_collections.edgellm.host.plugins.modules"
        capsys.readouterr()
        with patch_module_args(args), pytest.raises(SystemExit):
            importlib.import_module(f"{package}.{module}").main()
        result: JsonObject = json.loads(capsys.readouterr().out)
        assert not result.get("failed"), result
        return result

    yield run
    for name in server.running():
        server.post("generate", model=name, keep_alive=0)


@pytest.fixture
def model(run_module: Run, name: str, tmp_path: Path) -> Run:
    """Run ollama_model for a name of its own, with a record."""
    record = str(tmp_path / "record.json")
    return lambda **params: run_module("ollama_model", name=name, record=record, **params)


@pytest.fixture
def file(tmp_path: Path, name: str, server: Server) -> Path:
    """A GGUF file with a chat template that Ollama knows."""
    # Beside the store, where that is told: only there it can be linked.
    folder = server.store.parent if server.store and not TARGET.is_standin else tmp_path
    path = folder / name / "x.gguf"
    path.parent.mkdir()
    path.write_bytes(weights.model(name, chat_template=CHATML))
    return path


@pytest.fixture
def source(file: Path) -> t.Iterator[dict[str, str]]:
    """The options of a model of that file, which is gone afterwards."""
    yield {"gguf": str(file)}
    file.unlink()
    file.parent.rmdir()


def agree(foreseen: JsonObject, done: JsonObject) -> None:
    for key in ("changed", "plan", "diff", "drift", "snapshot", "import_method"):
        assert foreseen[key] == done[key], key


def twice(model: Run, **params: t.Any) -> JsonObject:
    """The result of a run that check mode foresaw, and that leaves nothing to do."""
    foreseen = model(**params, check_mode=True)
    done = model(**params)
    assert done["changed"] is True
    agree(foreseen, done)
    assert model(**params)["changed"] is False
    return done


def test_a_model_of_a_registry_comes_goes_and_is_followed(
    model: Run, server: Server, registry: Registry, layers: dict[str, bytes], name: str
) -> None:
    params = {"registry_mirror": registry.url}
    first = registry.offer(name, layers)
    assert twice(model, **params)["model"]["digest"] == first == server.digest(name)
    second = registry.offer(name, {**layers, "license": b"Newer."})
    assert model(**params, check_upstream=True)["upstream"]["digest"] == second
    done = twice(model, **params, state="latest", keep_previous=True)
    assert done["plan"]["bytes_fetch"] < len(layers["model"])
    assert server.digest(name) == second
    assert server.digest(done["snapshot"]) == first
    assert server.delete(done["snapshot"]).is_success
    twice(model, state="absent")
    assert f"{name}:latest" not in server.tags()


def test_a_model_changed_by_hand_is_kept_and_put_back(
    model: Run, server: Server, registry: Registry, layers: dict[str, bytes], name: str, base: str
) -> None:
    locked = registry.offer(name, layers)
    params = {"registry_mirror": registry.url, "digest": locked}
    twice(model, **params)
    server.done("copy", source=base, destination=name)
    theirs = server.digest(name)
    done = twice(model, **params)
    assert done["drift"] == {"recorded": locked, "present": theirs}
    assert (server.digest(name), server.digest(done["snapshot"])) == (locked, theirs)


@pytest.mark.parametrize(
    "text",
    [
        "FROM x.gguf\n",
        MODELFILE,
        EVERYTHING,
    ],
    ids=["weights alone", "template", "everything"],
)
def test_an_uploaded_model_is_made_once_and_recognised_without_a_record(
    model: Run, run_module: Run, server: Server, source: dict[str, str], name: str, text: str
) -> None:
    params = {**source, "modelfile": text, "import_method": "api"}
    digest = twice(model, **params)["model"]["digest"]
    assert run_module("ollama_model", name=name, **params)["changed"] is False
    assert server.digest(name) == digest
    other = {**params, "modelfile": f"{text}PARAMETER top_k 7\n"}
    assert run_module("ollama_model", name=name, **other, check_mode=True)["changed"] is True


def test_a_model_on_a_base_is_made_once_and_recognised_without_a_record(
    model: Run, run_module: Run, base: str, name: str
) -> None:
    params = {"from": base, "system": "Be brief.", "parameters": {"top_k": 5}, "license": ["More."]}
    twice(model, **params)
    assert run_module("ollama_model", name=name, **params)["changed"] is False
    assert run_module("ollama_model", name=name, **{**params, "system": "x"})["changed"] is True


def test_probes_ask_as_the_model_can(run_module: Run, base: str, embedder: str) -> None:
    chat = run_module("ollama_probe", name=base, expect=SAID)["probe"]
    assert (chat["kind"], chat["text"], chat["done_reason"]) == ("chat", SAID, "stop")
    assert chat["tokens_per_second"] > 0
    assert run_module("ollama_probe", name=base, kind="generate")["probe"]["text"] == SAID
    embedded = run_module("ollama_probe", name=embedder, dimensions=weights.WIDTH)["probe"]
    assert (embedded["kind"], embedded["dimensions"]) == ("embed", weights.WIDTH)


def test_a_probe_finds_the_model_in_memory_under_another_name_too(
    run_module: Run, server: Server, base: str, name: str
) -> None:
    server.create(name, **{"from": base, "system": "Other."})
    run_module("ollama_probe", name=base)
    assert run_module("ollama_probe", name=name)["probe"]["processor"] == "100% CPU"


def test_information_names_what_is_there(run_module: Run, server: Server, base: str) -> None:
    (told,) = run_module("ollama_model_info", name=base)["models"]
    assert told["digest"] == server.digest(base)
    assert "completion" in told["capabilities"]
    assert run_module("ollama_server_info")["models"]["count"] == len(server.tags())


def test_a_copy_has_the_digest_and_is_made_once(
    run_module: Run, server: Server, base: str, name: str
) -> None:
    params = {"source": base, "destination": name}
    assert run_module("ollama_model_copy", **params)["changed"] is True
    assert run_module("ollama_model_copy", **params)["changed"] is False
    assert server.digest(name) == server.digest(base)


if TARGET.shows_its_store:

    @pytest.fixture
    def stored(source: dict[str, str], server: Server) -> dict[str, str]:
        return {**source, "store": str(server.store), "modelfile": MODELFILE}

    def test_a_linked_model_renders_and_stops_as_the_uploaded_one(
        model: Run, run_module: Run, server: Server, stored: dict[str, str], name: str
    ) -> None:
        linked = twice(model, **stored, import_method="link")
        assert linked["import_method"] == "link"
        uploaded = f"{name}:uploaded"
        run_module("ollama_model", name=uploaded, **stored | {"import_method": "api"})
        asked = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi <you>"}]
        body = {"messages": asked, "stream": False, "options": {"temperature": 0}}
        answers = []
        for one in (name, uploaded):
            rendered = server.done("chat", model=one, **body, _debug_render_only=True).json()
            answer = server.done("chat", model=one, **body, keep_alive=0).json()
            prompt = (rendered.get("_debug_info") or {}).get("rendered_template")
            answers.append((prompt, answer["message"]["content"], answer["done_reason"]))
        assert answers[0] == answers[1]
        assert answers[0][1:] == (SAID, "stop")

    def test_a_linked_file_is_one_inode_and_outlives_its_model(
        model: Run, server: Server, stored: dict[str, str], file: Path
    ) -> None:
        before = file.stat()
        done = twice(model, **stored)
        assert done["plan"]["bytes_upload"] == done["plan"]["bytes_disk"] == 0
        assert (file.stat().st_nlink, file.stat().st_mode) == (2, before.st_mode)
        twice(model, state="absent")
        assert file.stat().st_nlink == 1
        assert file.stat().st_mtime == before.st_mtime

    def test_a_template_with_a_mistake_leaves_nothing_behind(
        model: Run, server: Server, stored: dict[str, str], name: str
    ) -> None:
        digest = model(**stored)["model"]["digest"]
        broken = {**stored, "modelfile": MODELFILE.replace("{{ .System }}", "{{ if }}")}
        with pytest.raises(AssertionError, match="cannot be served as it is described"):
            model(**broken)
        assert {found for found in server.tags() if name in found} == {f"{name}:latest"}
        assert server.digest(name) == digest

    def test_layers_and_the_raw_manifest_are_told(
        run_module: Run, server: Server, base: str
    ) -> None:
        (told,) = run_module("ollama_model_info", name=base, store=str(server.store))["models"]
        assert told["manifest"]
        assert all(layer["present"] for layer in told["layers"])

    def test_a_prune_foresees_and_spares_what_is_young(run_module: Run, server: Server) -> None:
        young = server.upload(secrets.token_bytes(20))
        params = {"store": str(server.store), "check_mode": True}
        foreseen = run_module("ollama_model_prune", **params)
        assert young not in [blob["digest"] for blob in foreseen["plan"]["blobs"]]
        foreseen = run_module("ollama_model_prune", **params, min_age=0)
        assert young in [blob["digest"] for blob in foreseen["plan"]["blobs"]]
