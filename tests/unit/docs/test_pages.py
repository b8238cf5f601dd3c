# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for operators: complete, the same in both languages, and in the words of the code."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.edgellm.host.plugins.module_utils.ollama.language import LANGUAGES
from ansible_collections.edgellm.host.plugins.plugin_utils import catalogue, lock, strict_yaml

from tests.unit.docs.lab_names import LAB_NAMES
from tests.unit.docs.pages import DOCS, Command, commands, headings, prose, rows, spans

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = DOCS.parent
#: What is typed on a host without a GPU, and what needs one.
NAMES = ("operations.md", "troubleshooting.md")
GPU = "gpu.md"
PAGES = [folder / name for folder in (DOCS, DOCS / "ja") for name in (*NAMES, GPU)]
#: What explains, and gives nothing to type on a host.
MODELS = [DOCS / "models.md", DOCS / "ja" / "models.md"]
DOWNLOADS = [DOCS / "downloads.md", DOCS / "ja" / "downloads.md"]
#: What used to be typed; every line of it has its row.
BEFORE = (
    "docker run --rm --gpus all nvidia/cuda:12.4.1-base-ubuntu22.04 nvidia-smi",
    "docker network create edge",
    "docker compose -f n8n-auto/llm/docker-compose.yml up -d",
    "docker compose -f n8n-auto/llm/docker-compose.yml down",
    "curl http://localhost:11434/api/tags",
    "nvidia-smi -l 1",
    "docker exec -it ollama ollama pull qwen2.5:7b-instruct",
    "docker exec -it ollama ollama pull bge-m3",
    (
        'curl.exe -L -C - "https://huggingface.co/elyza/Llama-3-ELYZA-JP-8B-GGUF/resolve/main/'
        'Llama-3-ELYZA-JP-8B-q4_k_m.gguf?download=true" -o "n8n-auto/llm/models/llama3-elyza-jp-8b/'
        'Llama-3-ELYZA-JP-8B-q4_k_m.gguf"'
    ),
    "docker cp n8n-auto/llm/models/llama3-elyza-jp-8b/Modelfile ollama:/tmp/ELYZA.Modelfile",
    "docker exec -it ollama sh -lc 'sed -i \"s/\\r$//\" /tmp/ELYZA.Modelfile'",
    "docker exec -it ollama ollama create elyza-jp-8b -f /tmp/ELYZA.Modelfile",
    "curl -s http://localhost:11434/api/tags",
    (
        'Invoke-RestMethod -Uri "http://localhost:11434/api/generate" -Method Post -ContentType '
        '"application/json; charset=utf-8" -Body ([Text.Encoding]::UTF8.GetBytes($b))'
    ),
    (
        'Invoke-RestMethod -Uri "http://localhost:11434/api/chat" -Method Post -ContentType '
        '"application/json; charset=utf-8" -Body ([Text.Encoding]::UTF8.GetBytes($chat))'
    ),
)
PATHS_BEFORE = (
    "n8n-auto/llm/ollama-data",
    "n8n-auto/llm/models",
    "n8n-auto/llm/docker-compose.yml",
    "CF_TUNNEL_TOKEN_OLLAMA",
)
PROGRAMS = {"docker", "curl", "nvidia-smi", "edgellm"}


def every(page: Path) -> list[Command]:
    found = commands(page)
    assert len(found) > 20
    return found


def page_id(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("name", [*NAMES, GPU, "models.md", "downloads.md"])
def test_both_languages_have_the_same_headings(name):
    english, japanese = (
        [heading.split(" ", 1)[0] for heading in headings(folder / name)]
        for folder in (DOCS, DOCS / "ja")
    )
    assert english == japanese
    assert len(english) > 5


@pytest.mark.parametrize("name", [*NAMES, GPU])
def test_both_languages_have_the_same_commands(name):
    english, japanese = (
        [(command.text, command.answer, command.not_run) for command in every(folder / name)]
        for folder in (DOCS, DOCS / "ja")
    )
    assert english == japanese


@pytest.mark.parametrize("name", [*NAMES, GPU, "models.md", "downloads.md"])
def test_both_languages_have_the_same_rows(name):
    english, japanese = (
        [(len(row), spans(row[0])) for row in rows(folder / name)] for folder in (DOCS, DOCS / "ja")
    )
    # The first cell says what a row is about; its words differ, what it quotes does not.
    assert len(english) == len(japanese) > 5
    for one, other in zip(english, japanese, strict=True):
        assert one[0] == other[0]
        assert sorted(one[1]) == sorted(other[1])


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_command_hides_outside_of_a_console_block(page):
    assert [line for _number, line in prose(page) if line.startswith("$ ")] == []
    notes = [line for _number, line in prose(page) if line.startswith("<!--")]
    blocks = {command.not_run for command in every(page) if command.not_run}
    # A note that no block follows, or that is misspelt, would be no note at all.
    assert {note.removeprefix("<!-- not run: ").removesuffix(" -->") for note in notes} == blocks


@pytest.mark.parametrize("page", PAGES + MODELS + DOWNLOADS, ids=page_id)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_is_whole(page):
    for command in every(page):
        assert shlex.split(command.text.replace("\\\n", " ")), command


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_what_the_lab_runs_asks_nobody_outside_and_ends_by_itself(page):
    real_gpu = r"--gpus|-l 1|/proc/driver|dmesg" if page.name == GPU else r"nvidia|--gpus"
    for command in every(page):
        if not command.not_run:
            text = command.renamed(LAB_NAMES).text
            assert "https://" not in text, text
            assert not re.search(rf"{real_gpu}|-it\b|logs$|ansible|n8n-auto|swap", text), text


def test_every_name_of_the_lab_is_needed():
    text = "\n".join(command.text for name in NAMES for command in commands(DOCS / name))
    assert [name for name, _other in LAB_NAMES if name not in text] == []


@pytest.mark.parametrize("folder", [DOCS, DOCS / "ja"], ids=["en", "ja"])
def test_every_command_of_before_has_its_row(folder):
    firsts = {span for row in rows(folder / "operations.md") for span in spans(row[0])}
    assert [command for command in BEFORE if command not in firsts] == []
    assert [path for path in PATHS_BEFORE if path not in firsts] == []
    assert all(cell for row in rows(folder / "operations.md") for cell in row)


@pytest.mark.parametrize("folder", [DOCS, DOCS / "ja"], ids=["en", "ja"])
def test_what_replaces_it_is_among_the_commands_that_are_tried(folder):
    page = folder / "operations.md"
    typed = {command.text for command in commands(page)}
    offered = [span for row in rows(page) for span in spans(row[2])]
    offered = [span for span in offered if span.split()[0] in PROGRAMS and " " in span]
    assert len(offered) > 10
    assert [span for span in offered if span not in typed] == []


def _without_values(message: str) -> str:
    return re.sub(r"\{\{.*?\}\}", "…", " ".join(message.split()))


@pytest.mark.parametrize("folder", [DOCS, DOCS / "ja"], ids=["en", "ja"])
def test_every_refusal_of_preflight_is_there_word_for_word(folder):
    tasks = yaml.safe_load((ROOT / "roles/preflight/tasks/assert.yml").read_text(encoding="utf-8"))
    refusals = [
        _without_values(task["ansible.builtin.assert"]["fail_msg"])
        for task in tasks
        if "ansible.builtin.assert" in task
    ]
    explained = [span for row in rows(folder / "troubleshooting.md") for span in spans(row[0])]
    assert len(refusals) >= 10
    assert [refusal for refusal in refusals if refusal not in explained] == []
    # And none that preflight no longer says.
    assert sorted(span for span in explained if "…" in span) == sorted(refusals)


def test_the_problems_are_in_the_words_of_the_edgellm_command():
    source = (ROOT / "roles/ollama_server/files/edgellm").read_text(encoding="utf-8")
    values = {"{OLLAMA}": "ollama", "{TUNNEL}": "cloudflared-ollama"}
    for name, value in {**values, "{settings.root}": "/srv/edgellm"}.items():
        source = source.replace(name, value)
    table = rows(DOCS / "troubleshooting.md")
    first = [row[0] for row in table].index("it says") + 1
    last = [row[0] for row in table].index("message")
    said = [span for row in table[first:last] for span in spans(row[0])]
    assert len(said) == 10
    assert [text for text in said if text not in source] == []


@pytest.mark.parametrize("folder", [DOCS, DOCS / "ja"], ids=["en", "ja"])
def test_gpu_page_names_every_row_of_the_gate_in_its_order(folder):
    codes = ["driver", "cdi", "engine", "container", "ollama", "share", "memory"]
    firsts = [span for row in rows(folder / GPU) for span in spans(row[0])[:1]]
    start = firsts.index("driver")
    assert firsts[start : start + len(codes)] == codes


def test_examples_of_nvidia_smi_are_the_same_in_both_languages():
    english, japanese = (
        re.findall(r"```text\n(.*?)```", (folder / GPU).read_text("utf-8"), re.DOTALL)
        for folder in (DOCS, DOCS / "ja")
    )
    assert english == japanese != []
    assert {len(line) for line in english[0].splitlines() if line} == {91}


def test_the_file_to_fetch_by_hand_is_the_catalogues():
    model = ROOT / "models/elyza-jp-8b"
    source = yaml.safe_load((model / "model.yml").read_text(encoding="utf-8"))["source"]["gguf"]
    url = f"https://huggingface.co/{source['repo']}/resolve/main/{source['file']}"
    text = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert f"'{url}?download=true'" in text
    assert set(re.findall(r"\b[0-9a-f]{64}\b", text)) == {source["sha256"]}
    for line in (model / "Modelfile").read_text(encoding="utf-8").splitlines()[1:]:
        assert f"'{line}'" in text


def _examples(page: Path) -> dict[str, str]:
    """The YAML of a page, by the path in its first line."""
    return dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL))


def test_examples_of_models_are_the_same_in_both_languages():
    english, japanese = map(_examples, MODELS)
    assert english == japanese
    assert sorted(english) == [
        "models/elyza-jp-8b/model.yml",
        "models/models.lock.yml",
        "models/support-desk/model.yml",
    ]


def test_examples_of_models_are_valid(tmp_path):
    for name, text in _examples(MODELS[0]).items():
        if name.endswith("/model.yml"):
            assert catalogue.parse(text, Path(name))[1] == "Modelfile"
        else:
            (tmp_path / lock.LOCK_FILE).write_text(text)
            (entry,) = lock.load(tmp_path).entries.values()
            assert entry.said() == yaml.safe_load(text)["models"][entry.name]


def _keys(shape: strict_yaml.Section, above: str = "") -> list[str]:
    """Every key of a schema that holds a value, in its order."""
    found = []
    for key, inner in shape.keys.items():
        is_section = isinstance(inner, strict_yaml.Section)
        found += _keys(inner, f"{above}{key}.") if is_section else [f"{above}{key}"]
    return found


def _first_cells(page: Path, after: str, before: str) -> list[str]:
    firsts = [row[0] for row in rows(page)]
    between = firsts[firsts.index(after) + 1 : firsts.index(before) if before else None]
    return [span for cell in between for span in spans(cell)]


@pytest.mark.parametrize(
    ("page", "key", "state", "entry"),
    [(MODELS[0], "key", "state", "in an entry"), (MODELS[1], "キー", "state", "項目")],
    ids=["en", "ja"],
)
def test_every_key_of_a_model_and_of_the_lock_has_its_row(page, key, state, entry):
    assert sorted(_first_cells(page, key, state)) == sorted(_keys(catalogue.SCHEMA))
    said = {field.name for field in dataclasses.fields(lock.Entry)} - {"name", "line"}
    assert set(_first_cells(page, entry, "")) == {"from" if f == "base" else f for f in said}
    for language in LANGUAGES:
        assert f"`{language}`" in page.read_text(encoding="utf-8")


def _said_by(path: Path) -> Iterator[str]:
    """Every text in a file, with what stands for values left out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield "…".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize("page", DOWNLOADS, ids=page_id)
def test_errors_of_a_download_are_in_the_words_of_the_code(page):
    utils = ROOT / "plugins/module_utils"
    files = [*(utils / "download").glob("*.py"), utils / "gguf_split.py"]
    said = "\n".join(text for path in files for text in _said_by(path))
    firsts = [row[0] for row in rows(page)]
    table = firsts[next(at for at, cell in enumerate(firsts) if "cannot be reached" in cell) :]
    # The statuses are values of the code.
    words = [
        piece.strip(" ….0123456789")
        for cell in table
        for piece in cell.strip("`").split("…")
        if piece.strip(" ….()")
    ]
    assert len(table) >= 25
    assert [piece for piece in words if piece not in said] == []


@pytest.mark.parametrize("page", DOWNLOADS, ids=page_id)
def test_variables_on_the_page_of_downloads_are_the_roles(page):
    defaults = yaml.safe_load((ROOT / "roles/ollama_models/defaults/main.yml").read_text("utf-8"))
    named = set(re.findall(r"ollama_models_\w+", page.read_text(encoding="utf-8")))
    assert len(named) >= 5
    assert named <= set(defaults)


@pytest.mark.parametrize("page", DOWNLOADS, ids=page_id)
def test_anchors_on_the_page_of_downloads_are_headings(page):
    names = {heading.lstrip("# ").lower().replace(" ", "-") for heading in headings(page)}
    used = re.findall(r"\]\(#([^)]+)\)", page.read_text(encoding="utf-8"))
    assert used
    assert [anchor for anchor in used if anchor not in names] == []


def test_lab_names_are_the_catalogues_and_the_scenarios():
    small = yaml.safe_load((ROOT / "models/smollm2-gguf/model.yml").read_text(encoding="utf-8"))
    lab = dict(LAB_NAMES)
    large = yaml.safe_load((ROOT / "models/elyza-jp-8b/model.yml").read_text(encoding="utf-8"))
    assert lab[large["name"]] == small["name"]
    for key in ("repo", "file", "sha256"):
        assert lab[large["source"]["gguf"][key]] == small["source"]["gguf"][key]


def test_reader_of_the_pages_sees_what_is_there(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\n```console\n$ one \\\n    two\nan ... answer\n$ three 'a\nb'\n```\n\n"
        "<!-- not run: why -->\n```console\n$ four\n```\n\ntext\n\n```console\n$ five\n```\n",
        encoding="utf-8",
    )
    found = commands(page)
    assert [(command.text, command.not_run, command.line) for command in found] == [
        ("one \\\n    two", "", 4),
        ("three 'a\nb'", "", 7),
        ("four", "why", 13),
        ("five", "", 19),
    ]
    assert found[0].answer == ("an ... answer",)
    assert found[0].missing("before\nan honest answer\n") == []
    assert found[0].missing("an answer") == ["an ... answer"]
    assert found[3].renamed((("five", "six"),)).text == "six"
    assert headings(page) == ["# Title"]
