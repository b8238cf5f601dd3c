# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names
from ansible_collections.edgellm.host.plugins.plugin_utils import lock

RAW = b'{"schemaVersion":2,"config":{},"layers":[]}'
DIGEST = hashlib.sha256(RAW).hexdigest()
A, B, C = "a" * 64, "b" * 64, "c" * 64
COMMIT = "0123456789" * 4
TEXT = f"""\
---
format: 1
models:
  bge-m3:latest:
    registry: registry.ollama.ai/library/bge-m3:latest
    digest: {DIGEST}
    size: 1157672605
  mine:latest:
    from:
      name: registry.ollama.ai/library/bge-m3:latest
      digest: {DIGEST}
    spec: {B}
    digests:
      0.32.15+standin: {A}
  tiny:latest:
    gguf:
      repo: lab/tiny-GGUF
      file: q4/tiny-q4.gguf
      commit: {COMMIT}
      sha256: {A}
      size: 1000
    spec: {B}
    digests:
      0.32.15: {C}
      link: {A}
"""


@pytest.fixture
def write(tmp_path):
    """Write this lock, with the manifest, and load it."""

    def write(text=TEXT, raw=RAW):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / lock.LOCK_FILE).write_bytes(content)
        if raw is not None:
            path = tmp_path / lock.MANIFESTS / f"sha256-{DIGEST}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(raw)
        return lock.load(tmp_path)

    return write


def test_lock_is_read_whole(write, tmp_path):
    found = write()
    assert found.path == tmp_path / "models.lock.yml"
    assert found.text == TEXT
    assert found.manifests == {DIGEST: RAW}
    assert found.find(names.parse("bge-m3")) == lock.Entry(
        "bge-m3:latest",
        registry="registry.ollama.ai/library/bge-m3:latest",
        digest=DIGEST,
        size=1157672605,
    )
    assert found.find(names.parse("Tiny")) == lock.Entry(
        "tiny:latest",
        gguf={
            "repo": "lab/tiny-GGUF",
            "file": "q4/tiny-q4.gguf",
            "commit": COMMIT,
            "sha256": A,
            "size": 1000,
        },
        spec=B,
        digests={"0.32.15": C, "link": A},
    )
    mine = found.find(names.parse("registry.ollama.ai/library/mine:latest"))
    assert mine.base == {"name": "registry.ollama.ai/library/bge-m3:latest", "digest": DIGEST}
    assert found.where(mine) == f"{found.path}:8"


@pytest.mark.parametrize("name", ["bge-m3:567m", "bge", "hf.co/library/bge-m3"])
def test_other_names_are_other_models(write, name):
    assert write().find(names.parse(name)) is None


def test_no_file_is_an_empty_lock(tmp_path):
    found = lock.load(tmp_path / "gone")
    assert (found.text, dict(found.entries)) == ("", {})


BGE = "registry: registry.ollama.ai/library/bge-m3:latest"


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("format: 1\n", "", 2, "'format' is missing"),
        ("format: 1", "format: 2", 2, "this version of edgellm.host knows 1 only"),
        ("format: 1", "format: '1'", 2, "the format is '1', but"),
        ("format: 1", "format: true", 2, "the format is True, but"),
        ("format: 1", "formats: 1", 2, "unknown key 'formats' (did you mean 'format'?)"),
        ("models:\n", "models: []\nx:\n", 3, "'models' must hold keys, not a list"),
        (TEXT[TEXT.index("models") :], "models: {}\n", 3, "'models' is empty"),
        ("bge-m3:latest:", "bge-m3:", 4, "write 'bge-m3:latest', not 'bge-m3'"),
        ("bge-m3:latest:", "library/bge-m3:latest:", 4, "write 'bge-m3:latest', not 'library/"),
        ("bge-m3:latest:", "7:", 4, "a key of 'models' must be text, not a number"),
        ("bge-m3:latest:", "a b:", 4, "Invalid model name 'a b'"),
        ("mine:latest:", "bge-m3:latest:", 8, "'bge-m3:latest' is there twice"),
        ("mine:latest:", "BGE-M3:latest:", 8, "'BGE-M3:latest' is there twice"),
        (BGE, "registry: bge-m3", 5, "write 'registry.ollama.ai/library/bge-m3:latest', not"),
        (f"    {BGE}\n", "", 5, "needs 'registry', 'gguf' or 'from', exactly one"),
        (BGE, f"{BGE}\n    from: {{name: {BGE[10:]}, digest: {A}}}", 5, "exactly one"),
        (f"    digest: {DIGEST}\n", "", 4, "has 'registry', but 'digest' is missing"),
        ("    size: 1157672605\n", "", 4, "has 'registry', but 'size' is missing"),
        ("size: 1157672605", "size: 1.5 GB", 7, "a whole number above 0"),
        ("size: 1157672605", f"spec: {A}\n    size: 1", 7, "does not go with 'registry'"),
        (f"digest: {DIGEST}\n    size", "digest: 12\n    size", 6, "must be text, not a number"),
        (f"digest: {DIGEST}\n    size", f"digest: {'A' * 64}\n    size", 6, "of 0-9 and a-f"),
        (
            f"      digest: {DIGEST}\n    spec",
            "    spec",
            10,
            "'models.mine:latest.from.digest' is",
        ),
        (f"    digests:\n      0.32.15+standin: {A}\n", "", 8, "'from', but 'digests' is missing"),
        ("0.32.15+standin:", "newest:", 14, "by the version of a server, or by link"),
        ("0.32.15+standin:", "0.32:", 14, "a key of 'models.mine:latest.digests' must be text"),
        (f"0.32.15+standin: {A}", f"0.32.15+standin: {COMMIT}", 14, "a SHA-256 has 64 digits"),
        (f"sha256: {A}", "sha: x", 20, "did you mean 'sha256'?"),
        (f"      sha256: {A}\n", "", 17, "'models.tiny:latest.gguf.sha256' is missing"),
        (f"commit: {COMMIT}", "commit: main", 19, "a commit has 40 digits"),
        ("      link:", "     link:", 25, "not valid YAML"),
    ],
)
def test_faults_are_told_with_file_and_line(write, tmp_path, old, new, line, complaint):
    assert old in TEXT
    with pytest.raises(Refused) as caught:
        write(TEXT.replace(old, new, 1))
    assert str(caught.value).startswith(f"{tmp_path}/models.lock.yml:{line}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (None, "is missing. Restore it from version control, or remove the entry."),
        (RAW.replace(b",", b",\r\n"), "is not what its name says: its SHA-256 is "),
        (b"", "is not what its name says"),
    ],
)
def test_manifest_that_is_not_the_one_is_refused(write, tmp_path, raw, complaint):
    with pytest.raises(Refused) as caught:
        write(raw=raw)
    manifest = tmp_path / f"manifests/sha256-{DIGEST}.json"
    assert str(caught.value).startswith(
        f"{tmp_path}/models.lock.yml:4: the manifest {manifest} {complaint}"
    )


def test_file_that_is_not_utf8_is_refused(write):
    with pytest.raises(Refused, match="Save the file as UTF-8"):
        write("# 山\n".encode("shift_jis"))


def test_manifest_that_goes_while_it_is_read_means_a_newer_lock(write, tmp_path, monkeypatch):
    write()
    manifest = tmp_path / f"manifests/sha256-{DIGEST}.json"
    read = Path.read_bytes

    def replaced_in_between(path):
        if path == manifest:
            # What somebody does who replaces the entry: the lock first, then the manifest.
            start = TEXT.index("  tiny:")
            (tmp_path / "models.lock.yml").write_text("format: 1\nmodels:\n" + TEXT[start:])
            manifest.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", replaced_in_between)
    assert list(lock.load(tmp_path).entries) == [names.parse("tiny").key]


# --- what the catalogue says otherwise -----------------------------------------------------------


def source(**said):
    return {**dict.fromkeys(("registry", "digest", "gguf", "from")), **said}


def gguf(**said):
    keys = ("repo", "file", "revision", "sha256", "size", "url")
    same = {"repo": "lab/tiny-GGUF", "file": "q4/tiny-q4.gguf"}
    return source(gguf={**dict.fromkeys(keys), **same, **said})


@pytest.mark.parametrize(
    ("name", "said", "spec"),
    [
        ("bge-m3", source(registry="bge-m3"), None),
        ("bge-m3", source(registry="library/BGE-M3", digest=DIGEST), None),
        ("tiny", gguf(), None),
        ("tiny", gguf(sha256=A), B),
        # The same bytes are the same file, wherever they lie.
        ("tiny", gguf(sha256=A, repo="other/place", file="x.gguf"), B),
        ("tiny", gguf(revision="main", size=1000), B),
        ("tiny", gguf(revision=COMMIT), B),
        ("mine", source(**{"from": "bge-m3"}), None),
    ],
)
def test_catalogue_that_says_the_same_is_not_stale(write, name, said, spec):
    found = write()
    assert lock.stale(found, found.find(names.parse(name)), said, spec) is None


@pytest.mark.parametrize(
    ("name", "said", "spec", "line", "complaint"),
    [
        (
            "bge-m3",
            source(registry="bge-large"),
            None,
            4,
            "registry name bge-m3:latest, but the catalogue says registry name bge-large:latest.",
        ),
        (
            "bge-m3",
            source(registry="hf.co/x/bge-m3"),
            None,
            4,
            "says registry name hf.co/x/bge-m3:",
        ),
        ("bge-m3", source(registry="bge-m3", digest=C), None, 4, f"the digest {DIGEST}, but the"),
        ("bge-m3", gguf(), None, 4, "but the catalogue says GGUF file"),
        ("tiny", source(registry="tiny"), None, 15, "the source GGUF file, but the catalogue says"),
        (
            "tiny",
            gguf(sha256=C),
            B,
            15,
            f"SHA-256 of the GGUF file {A}, but the catalogue says {C}",
        ),
        (
            "tiny",
            gguf(file="x.gguf"),
            B,
            15,
            "the file q4/tiny-q4.gguf, but the catalogue says x.g",
        ),
        ("tiny", gguf(repo="a/b"), B, 15, "the repo lab/tiny-GGUF, but the catalogue says a/b"),
        ("tiny", gguf(size=999), B, 15, "the size 1000, but the catalogue says 999"),
        ("tiny", gguf(revision="f" * 40), B, 15, f"the commit {COMMIT}, but the catalogue says ff"),
        ("tiny", gguf(), C, 15, f"the spec {B}, but with the catalogue's Modelfile it is {C}"),
        (
            "mine",
            source(registry="mine"),
            None,
            8,
            "the source base bge-m3:latest, but the catalog",
        ),
        ("mine", source(**{"from": "tiny"}), None, 8, "but the catalogue says base tiny:latest"),
    ],
)
def test_what_the_catalogue_says_otherwise_is_told(write, name, said, spec, line, complaint):
    found = write()
    told = lock.stale(found, found.find(names.parse(name)), said, spec)
    assert told.startswith(f"{found.path}:{line}: {name}:latest is locked with the ")
    assert complaint in told
    # And what to do about it, either way.
    assert "playbooks/models.yml" in told
    assert told.endswith("put the catalogue back as it was.")


def test_base_that_was_locked_anew_is_told(write):
    found = write(TEXT.replace(f"      digest: {DIGEST}", f"      digest: {C}"))
    told = lock.stale(found, found.find(names.parse("mine")), source(**{"from": "bge-m3"}))
    assert f"the digest of the base {C}, but the base is locked with {DIGEST}" in told
