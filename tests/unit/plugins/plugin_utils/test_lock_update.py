# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
import multiprocessing

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.ollama import names
from ansible_collections.edgellm.host.plugins.plugin_utils import lock, lock_update

A, B, C = "a" * 64, "b" * 64, "c" * 64
COMMIT = "0123456789" * 4


def manifest(label, size=1000):
    layer = {"mediaType": "x", "digest": f"sha256:{A}", "size": size}
    config = {**layer, "digest": f"sha256:{B}", "size": 1}
    return json.dumps({"schemaVersion": 2, "label": label, "layers": [layer], "config": config})


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def pulled(name="bge-m3", label="one", **said):
    text = manifest(label)
    return {"name": name, "registry": name, "digest": digest(text), "manifest": text, **said}


def created(name="tiny", **said):
    file = {"repo": "lab/tiny", "url": None, "file": "t.gguf", "commit": COMMIT}
    return {
        "name": name,
        "gguf": {**file, "sha256": A, "size": 1000},
        "digest": B,
        "spec": C,
        "server_version": "0.32.15",
        **said,
    }


def based(name="mine", base=A, **said):
    return created(name, **{"gguf": None, "from": {"name": "bge-m3", "digest": base}, **said})


@pytest.fixture
def update(tmp_path):
    """Bring entries into the lock of a directory that is not there yet."""

    def update(*entries, replace=(), check_mode=False):
        return lock_update.update(
            tmp_path / "models",
            [lock_update.offer(entry) for entry in entries],
            [names.parse(name) for name in replace],
            check_mode=check_mode,
        )

    return update


@pytest.fixture
def text(tmp_path):
    return lambda: (tmp_path / "models/models.lock.yml").read_text(encoding="utf-8")


@pytest.fixture
def files(tmp_path):
    """Everything in the directory, and what changes when a file is written."""

    def files():
        paths = [path for path in (tmp_path / "models").rglob("*") if path.is_file()]
        return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}

    return files


def outcomes(merged):
    return {what: merged.named(what) for what in ("added", "replaced", "unchanged")}


def test_new_lock_is_sorted_and_says_who_writes_it(update, text, files):
    merged = update(created(), pulled("qwen2.5:7b", "two"), pulled(), based())
    one, two = manifest("one"), manifest("two")
    assert (
        text()
        == f"""\
---
# Which models were deployed and have answered. Keep this in version control, and manifests/ too.
# Written by edgellm.host: playbooks/site.yml adds what is missing, and only playbooks/models.yml
# changes what is there. Comments do not stay.
format: 1
models:
  bge-m3:latest:
    registry: registry.ollama.ai/library/bge-m3:latest
    digest: {digest(one)}
    size: 1001
  mine:latest:
    from:
      name: registry.ollama.ai/library/bge-m3:latest
      digest: {A}
    spec: {C}
    digests:
      0.32.15: {B}
  qwen2.5:7b:
    registry: registry.ollama.ai/library/qwen2.5:7b
    digest: {digest(two)}
    size: 1001
  tiny:latest:
    gguf:
      repo: lab/tiny
      file: t.gguf
      commit: {COMMIT}
      sha256: {A}
      size: 1000
    spec: {C}
    digests:
      0.32.15: {B}
"""
    )
    assert outcomes(merged) == {
        "added": ["bge-m3:latest", "mine:latest", "qwen2.5:7b", "tiny:latest"],
        "replaced": [],
        "unchanged": [],
    }
    kept = {name: content for name, (content, _time) in files().items()}
    assert kept == {
        "models.lock.yml": text().encode(),
        f"sha256-{digest(one)}.json": one.encode(),
        f"sha256-{digest(two)}.json": two.encode(),
    }


def test_same_again_writes_nothing(update, files):
    update(pulled(), created())
    before = files()
    merged = update(created(), pulled("BGE-M3:latest"))
    assert (merged.changed, merged.diff, merged.drift) == (False, [], ())
    assert outcomes(merged)["unchanged"] == ["bge-m3:latest", "tiny:latest"]
    assert files() == before


def test_comments_and_order_stay_while_nothing_is_added(update, text, files, tmp_path):
    update(pulled(), created())
    mine = "# mine\n" + text().replace(f"size: 1000\n    spec: {C}", f"size: 1000\n\n    spec: {C}")
    (tmp_path / "models/models.lock.yml").write_text(mine)
    update(pulled(), created())
    assert text() == mine


def test_order_of_the_hosts_makes_no_difference(update, text, tmp_path):
    update(pulled(), created(), based())
    first = text()
    (tmp_path / "models/models.lock.yml").unlink()
    update(based())
    update(created())
    update(pulled())
    assert text() == first


def test_small_change_is_a_small_diff(update):
    update(pulled(), created())
    (said, new) = update(pulled("llama3.2:3b", "two")).diff
    before, after = said["before"].splitlines(), said["after"].splitlines()
    assert [line for line in before if line not in after] == []
    assert len(after) - len(before) == 4
    assert (new["before"], new["after"]) == ("", manifest("two"))
    assert new["after_header"].endswith(f"/manifests/sha256-{digest(manifest('two'))}.json")


@pytest.mark.parametrize(
    ("entries", "replace"),
    [
        ([pulled(), created()], []),
        ([pulled(label="two"), created()], ["bge-m3"]),
        ([pulled(label="two")], []),
        ([pulled()], []),
    ],
)
def test_check_mode_predicts_to_the_letter_and_writes_nothing(update, files, entries, replace):
    update(pulled())
    before = files()
    foreseen = update(*entries, replace=replace, check_mode=True)
    assert files() == before
    done = update(*entries, replace=replace)
    assert foreseen == done
    assert foreseen.diff == done.diff
    assert foreseen.changed is (files() != before)


def test_check_mode_makes_no_directory(update, tmp_path):
    assert update(pulled(), check_mode=True).changed is True
    assert list(tmp_path.iterdir()) == []


# --- what differs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (pulled(label="two"), "digest"),
        (pulled(registry="bge-large"), "source"),
        (created("bge-m3"), "source"),
        (created(gguf={"sha256": B, "size": 1000}), "SHA-256 of the GGUF file"),
        (created(spec=A), "spec"),
        (created(digest=A), "digest from Ollama 0.32.15"),
        (based("tiny"), "source"),
        (based(base=B), "digest of the base"),
        (based(**{"from": {"name": "tiny", "digest": A}}), "source"),
    ],
)
def test_existing_entries_change_only_when_named(update, files, other, what):
    update(pulled(), created(), based())
    before = files()
    merged = update({**other, "host": "box2"})
    (drift,) = merged.drift
    name = names.parse(other["name"]).short
    assert (merged.changed, drift.name, drift.host, drift.what) == (False, name, "box2", what)
    assert drift.message.startswith(f"box2: {name} has the {what} {drift.found}, but ")
    assert drift.message.endswith("; only playbooks/models.yml changes the lock.")
    assert files() == before
    merged = update(other, replace=[other["name"]])
    assert (outcomes(merged)["replaced"], merged.drift) == ([name], ())
    assert update(other).named("unchanged") == [name]


def test_drift_names_the_line(update, tmp_path):
    update(pulled(), created())
    (drift,) = update(created(spec=A)).drift
    assert f"({tmp_path}/models/models.lock.yml:11); only" in drift.message


def test_others_are_still_added(update):
    update(pulled())
    merged = update(pulled(label="two"), created())
    assert (merged.named("added"), len(merged.drift)) == (["tiny:latest"], 1)


def test_manifest_goes_with_the_last_entry_that_needs_it(update, files):
    update(pulled(), pulled("also", "one"))
    name = f"sha256-{digest(manifest('one'))}.json"
    merged = update(pulled(label="two"), replace=["bge-m3"])
    assert name in files()
    assert len(merged.diff) == 2
    merged = update(pulled("also", "two"), replace=["also"])
    assert set(files()) == {"models.lock.yml", f"sha256-{digest(manifest('two'))}.json"}
    assert [(step["before"], step["after"]) for step in merged.diff[1:]] == [(manifest("one"), "")]


def test_every_server_version_has_its_own_digest(update, text):
    update(created())
    merged = update(created(server_version="0.33.0", digest=A))
    assert merged.named("added") == ["tiny:latest"]
    merged = update(created(import_method="link", server_version="0.33.0", digest=C))
    assert merged.named("added") == ["tiny:latest"]
    assert text().endswith(
        f"    digests:\n      0.32.15: {B}\n      0.33.0: {A}\n      link: {C}\n"
    )
    # A digest of another time says nothing about a model made in another way.
    merged = update(created(spec=A, server_version="0.33.0", digest=C), replace=["tiny"])
    assert text().endswith(f"    digests:\n      0.33.0: {C}\n")


def test_place_of_a_file_is_kept_as_it_was_found_first(update):
    update(created())
    merged = update(created(gguf={"url": "https://a/t.gguf", "sha256": A, "size": 1000}))
    assert merged.named("unchanged") == ["tiny:latest"]


@pytest.mark.parametrize("replace", [[], ["bge-m3"]])
def test_first_of_two_hosts_that_disagree_wins(update, text, replace):
    merged = update(pulled(host="box1"), pulled(label="two", host="box2"), replace=replace)
    assert merged.named("added") == ["bge-m3:latest"]
    (drift,) = merged.drift
    assert (drift.host, drift.locked) == ("box2", digest(manifest("one")))
    assert drift.message.endswith(f"but {digest(manifest('one'))} is locked by box1 now.")
    assert digest(manifest("two")) not in text()


def test_host_that_stayed_behind_is_told(update):
    update(pulled())
    new, old = pulled(label="two", host="box1"), pulled(host="box2")
    merged = update(new, old, replace=["bge-m3"])
    assert (merged.named("replaced"), merged.drift[0].host) == (["bge-m3:latest"], "box2")
    assert merged.named("unchanged") == []


def test_same_from_two_hosts_is_added_once(update):
    merged = update(pulled(host="box1"), pulled(host="box2"))
    assert outcomes(merged) == {"added": ["bge-m3:latest"], "replaced": [], "unchanged": []}


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        (pulled("a b"), "Invalid model name 'a b'"),
        (pulled(gguf={"sha256": A, "size": 1}), "needs registry, gguf or from, exactly one"),
        (pulled(registry=None), "needs registry, gguf or from, exactly one"),
        (pulled(digest="12"), "Invalid digest '12'"),
        (pulled(digest=A), f"its digest is {A}, but the SHA-256 of its manifest is "),
        (pulled(manifest=None), "needs its manifest"),
        (pulled(manifest="{}", digest=digest("{}")), "its manifest is none: not a manifest of"),
        (created(spec=None), "needs spec"),
        (created(server_version=None), "the server_version that created it"),
        (created(server_version="new"), "by the version of a server, or by link, not by 'new'"),
        (created(spec="12"), "a SHA-256 has 64 digits"),
        (created(gguf={"sha256": "12", "size": 1}), "a SHA-256 has 64 digits"),
        (created(gguf={"sha256": A, "size": 0}), "the size of its GGUF file must be above 0"),
        (created(gguf={"sha256": A, "size": 1, "commit": "main"}), "a commit has 40 digits"),
        (based(**{"from": {"name": "x y", "digest": A}}), "Invalid model name 'x y'"),
        (based(base="12"), "Invalid digest '12'"),
    ],
)
def test_entry_that_cannot_be_right_is_refused(update, tmp_path, entry, complaint):
    with pytest.raises(Refused, match=r"^(The entry of |Invalid model name)") as caught:
        update(pulled(), entry)
    assert complaint in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_digest_of_a_link_needs_no_server(update, text):
    update(created(import_method="link", server_version=None))
    assert text().endswith(f"    digests:\n      link: {B}\n")


def test_lock_that_is_not_whole_is_not_written_over(update, files, tmp_path):
    update(pulled())
    (tmp_path / "models/models.lock.yml").write_text("format: 2\nmodels: {}\n")
    before = files()
    with pytest.raises(Refused, match=r"models\.lock\.yml:1: the format is 2"):
        update(created())
    assert files() == before


def test_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "models").symlink_to(tmp_path / "gone")
    offers = [lock_update.offer(created())]
    with pytest.raises(Refused, match="Set edgellm_models_dir to a directory on the controller"):
        lock_update.update(tmp_path / "models", offers)


# --- several at once -----------------------------------------------------------------------------


def _deploy(directory, start, number, told):
    offers = [
        lock_update.offer(pulled(f"model{number}", str(number))),
        lock_update.offer(pulled("shared", f"by {number}", host=f"box{number}")),
    ]
    start.wait()
    told.put([drift.host for drift in lock_update.update(directory, offers).drift])


def test_hosts_at_the_same_time_lose_nothing(tmp_path, files):
    # Forked, as the workers of a play are.
    context = multiprocessing.get_context("fork")
    start, told, directory = context.Barrier(8), context.Queue(), tmp_path / "models"
    workers = [
        context.Process(target=_deploy, args=(directory, start, number, told))
        for number in range(8)
    ]
    for worker in workers:
        worker.start()
    conflicts = [told.get(timeout=60) for _worker in workers]
    for worker in workers:
        worker.join()
    entries = lock.load(directory).entries
    assert sorted(entry.name for entry in entries.values()) == sorted(
        [*(f"model{number}:latest" for number in range(8)), "shared:latest"]
    )
    # One was first, and all the others know.
    winner = entries[names.parse("shared").key].digest
    first = next(n for n in range(8) if digest(manifest(f"by {n}")) == winner)
    assert sorted(host for hosts in conflicts for host in hosts) == [
        f"box{n}" for n in range(8) if n != first
    ]
    # Nothing but the lock and what it needs is left.
    assert len(files()) == 1 + 9
