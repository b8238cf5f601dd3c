#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_file
short_description: Have a GGUF file on a host, fetched once and proved
version_added: 0.1.0
description:
  - Downloads a GGUF file from a Hugging Face repository or any URL. What is on disk already is not
    fetched again, whatever interrupted the download before, even if that was a power failure.
  - The file gets its name only when it is complete and its SHA-256 is the expected one. Until then
    it is called C(<name>.<12 digits>.part), and the digits belong to exactly this content, so that
    a file that changed at the source never continues an old one.
  - A file that is there already is never fetched again only because this module did not fetch it.
    A complete one is taken after it was hashed once, and a partial one, for instance of C(curl -C
    -), serves as the beginning.
  - A model that is split into several files is one file to this module. Name any of them, and all
    are there or none is begun.
  - A second run asks no server and reads no file, because a small record beside the file says what
    it is.
  - What the disk has no room for is refused before the first byte. In WSL2, that is also what the
    drive of Windows has no room for, on which the disk of Linux grows.
  - While a large file is fetched, copied or hashed, the terminal shows how far every host is.
    Where the output is not a terminal, nothing is shown.
  - A run that finds another one fetching the same file waits for it, and goes on where it ends. Who
    stands still, or may be on another host, is not waited for.
  - Ctrl-C stops the work on the host too, and what was fetched is kept. When the connection is lost
    or Ansible is killed, the work on the host goes on, and the next run waits for it.
extends_documentation_fragment:
  - edgellm.host._attributes
attributes:
  check_mode:
    support: full
    details: The source is asked for the size and the hash, so that the bytes to fetch are exact.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  repo:
    description: The repository, V(namespace/name).
    type: str
  file:
    description:
      - The path of the file inside O(repo).
      - One that ends like C(-00001-of-00003.gguf) means all the files of that model, of one commit.
        It does not matter which of them is named.
    type: str
  revision:
    description:
      - The branch, tag or commit of O(repo). Whatever it is, one commit is found out first and
        fetched from.
      - A branch that moves on later does not make a file that is there obsolete. To get the new
        one, name its O(sha256) or a commit, or remove the file.
    type: str
    default: main
  url:
    description:
      - The address of the file, if it is not O(repo) and O(file).
      - An address copied from a page of Hugging Face (huggingface.co or hf.co) or of O(endpoint),
        with C(/resolve/), C(/blob/) or C(/raw/) in it, is understood as O(repo), O(file) and
        O(revision). What stands behind its question mark does not matter. A page without a file,
        such as C(/tree/), is refused.
      - An address that ends like C(-00001-of-00003.gguf) before any question mark means all the
        files of that model.
      - The part behind the question mark counts as a secret, and so do user and password before the
        host. They appear in no result, log or file.
    type: str
  mirrors:
    description:
      - Other addresses of the same file, which are asked first and in this order. What O(url) may
        be, they may be.
      - The file must have a SHA-256, from O(sha256) or from Hugging Face, and a mirror must deliver
        exactly that. Who does not is left out with a warning, and the next one is asked.
      - With O(sha256), nobody else is asked as long as a mirror delivers.
    type: list
    elements: str
    default: []
  endpoint:
    description:
      - Who serves O(repo), if not Hugging Face itself. It speaks the same protocol.
      - If not set, the environment variable E(HF_ENDPOINT) of the managed host is used.
    type: str
    default: https://huggingface.co
  token:
    description:
      - What proves to O(endpoint) who is asking, for repositories that are private or gated. No
        other host gets to see it.
      - If not set, the environment variable E(HF_TOKEN) of the managed host is used.
    type: str
  dest:
    description:
      - The path of the file on the managed host. Its folder exists already.
      - For a split model it ends like O(file) or O(url), and stands for all its files. To
        O(state=absent) it does so too.
    type: path
    required: true
  sha256:
    description:
      - The SHA-256 that the file must have. For a split model, those of all its files in their
        order.
      - If the source says that it has another one, the task fails before anything is fetched.
      - Without it, the file must have the SHA-256 that Hugging Face states. Other sources state
        none. Then nothing but O(size) and the server's word stands for the content.
    type: list
    elements: str
  size:
    description: The size in bytes that the file must have. For a split model, that of all its files
      together.
    type: int
  record:
    description:
      - Where the record of the file is kept. Without it, that is a hidden file beside O(dest).
      - For a split model, the name gets C(-00001) and so on before its C(.json).
    type: path
  timeout:
    description: How many seconds the source may stay silent. This limits silence, not the whole
      work.
    type: int
    default: 60
  retries:
    description: How many times in a row a request may fail for a reason that may pass. Progress
      starts the count anew.
    type: int
    default: 6
  lanes:
    description:
      - How many connections fetch the file at once, 1 to 64. What is slow is shared among them.
      - Fewer are used for a small file, for a low O(max_rate), and where the source does not like
        more or gives no parts of a file. Without a SHA-256 and an ETag, it is one.
    type: int
    default: 8
  chunk_size:
    description: How many bytes one request asks for at most. For files that are not large it is
      less. Any chunks continue what was fetched with others.
    type: int
    default: 67108864
  max_rate:
    description: How many bytes per second are fetched at most, over all connections together.
    type: int
  import_store:
    description:
      - A folder on the managed host into which the file will be imported afterwards, such as the
        store of Ollama (C(OLLAMA_MODELS)). It need not exist yet.
      - With it, a file is fetched only if there is room for it and for O(import_copies) of it.
        What is on one disk is added up. A file that is there already is not asked about.
    type: path
  import_copies:
    description:
      - How many copies of the file there will be in O(import_store) at the same time.
      - An upload to Ollama takes V(1), and from its version 0.30 on V(2), because it writes the
        file anew.
      - V(0) means a link, which takes a copy only if O(import_store) is on another disk than
        O(dest).
    type: int
    default: 1
  verify:
    description:
      - How a file that is there and recorded is looked at.
      - With V(auto), it is not read as long as its size and its time are the recorded ones. With
        another time it is hashed once, and if it is still the same, recorded anew.
      - With V(always), it is hashed in every run. So damage is found that left size and time as
        they were.
      - Either way, only the damaged stretches of 16 MiB are fetched again, if this module fetched
        the file. The mended file is a new one. What is linked to the damaged one, such as a blob in
        the store of Ollama, stays damaged.
    type: str
    choices: [auto, always]
    default: auto
  owner:
    description: The owner of the file. Without it, whoever runs the module.
    type: str
  group:
    description: The group of the file.
    type: str
  mode:
    description: The permissions of the file, as M(ansible.builtin.file) takes them.
    type: raw
    default: "0644"
  state:
    description:
      - With V(present), the file is there.
      - With V(absent), neither the file is there nor anything that belongs to it.
    type: str
    choices: [present, absent]
    default: present
  fetch_at_most:
    description:
      - With more bytes than this to fetch, or a large file to read, or another run to wait for,
        nothing is done, no room is asked for, and RV(deferred) says so.
      - Private to the collection, which uses it to show the progress. It may change at any time.
    type: int
  status_file:
    description:
      - A file on the managed host into which the progress is written, as JSON.
      - Private to the collection, which uses it to show the progress. It may change at any time.
    type: path
requirements:
  - python >= 3.10
  - httpx >= 0.22
seealso:
  - module: edgellm.host.ollama_model
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Have the example model on the host
  edgellm.host.gguf_file:
    repo: elyza/Llama-3-ELYZA-JP-8B-GGUF
    file: Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    dest: /srv/edgellm/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf

- name: Have exactly this file, through a mirror on the LAN
  edgellm.host.gguf_file:
    repo: elyza/Llama-3-ELYZA-JP-8B-GGUF
    file: Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    sha256: 91553c45080b11d95be21bb67961c9a5d2ed7556275423efaaad6df54ba9beae
    endpoint: http://192.0.2.1:8080/hf
    dest: /srv/edgellm/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf

- name: Have a file from somewhere else
  edgellm.host.gguf_file:
    url: https://files.example.com/smollm2-135m.gguf
    dest: /srv/models/smollm2-135m.gguf
    owner: ollama
    mode: "0640"

- name: Have a model in three files, if it and a copy in the store of Ollama have room
  edgellm.host.gguf_file:
    repo: example/large-GGUF
    file: Q4_K_M/large-Q4_K_M-00001-of-00003.gguf
    dest: /srv/models/large-Q4_K_M-00001-of-00003.gguf
    import_store: /srv/edgellm/data/models

- name: Look whether a file is damaged, and mend it from the LAN if possible
  edgellm.host.gguf_file:
    repo: elyza/Llama-3-ELYZA-JP-8B-GGUF
    file: Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    dest: /srv/edgellm/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    mirrors:
      - http://192.0.2.1:8080/files/Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    max_rate: 20000000
    verify: always

- name: Give the disk space back, that of interrupted downloads too
  edgellm.host.gguf_file:
    dest: /srv/models/smollm2-135m.gguf
    state: absent
"""

RETURN = r"""
path:
  description: The path of the file, of a split model that of its first file, which is what programs
    take that read split models.
  returned: success
  type: str
  sample: /srv/models/smollm2-135m.gguf
sha256:
  description: The SHA-256 of the file at RV(path), or in check mode V(none) if nobody states it
    beforehand.
  returned: success and O(state=present)
  type: str
  sample: 91553c45080b11d95be21bb67961c9a5d2ed7556275423efaaad6df54ba9beae
size:
  description: The size in bytes, of all files together.
  returned: success and O(state=present)
  type: int
  sample: 104857600
commit:
  description: The commit of the repository that the file is from, or V(none) if that is not known.
  returned: success and O(state=present)
  type: str
  sample: 0123456789abcdef0123456789abcdef01234567
source:
  description: Where the file is from, without any secret part of the address.
  returned: success and O(state=present)
  type: str
  sample: https://files.example.com/smollm2-135m.gguf
bytes_fetched:
  description: How many bytes of the file came over the network, or in check mode would come.
  returned: success and O(state=present)
  type: int
  sample: 80000000
bytes_reused:
  description: How many bytes were there from an earlier download.
  returned: success and O(state=present)
  type: int
  sample: 24857600
retries:
  description: How many requests had to be repeated.
  returned: success and O(state=present)
  type: int
  sample: 1
elapsed:
  description: How many seconds it took.
  returned: success and O(state=present)
  type: float
  sample: 21.5
files:
  description: The file, or each file of a split model in order.
  returned: success and O(state=present)
  type: list
  elements: dict
  contains:
    path:
      description: The path of the file.
      type: str
      sample: /srv/models/large-Q4_K_M-00001-of-00003.gguf
    sha256:
      description: The SHA-256 of the file.
      type: str
      sample: 91553c45080b11d95be21bb67961c9a5d2ed7556275423efaaad6df54ba9beae
    size:
      description: The size in bytes.
      type: int
      sample: 104857600
    source:
      description: Where the file is from, without any secret part of the address.
      type: str
      sample: https://files.example.com/large-Q4_K_M-00001-of-00003.gguf
    bytes_fetched:
      description: How many bytes of it came over the network.
      type: int
      sample: 80000000
    bytes_reused:
      description: How many bytes of it were there from an earlier download.
      type: int
      sample: 24857600
attached:
  description: Another run was fetching the same file already, and this one waited for it.
  returned: when that is so
  type: bool
  sample: true
deferred:
  description: Nothing was done, because it would have been more than O(fetch_at_most) bytes, or
    would have taken long otherwise.
  returned: when that is so
  type: bool
  sample: true
"""

import re
import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils import gguf_source, gguf_split
from ansible_collections.edgellm.host.plugins.module_utils.download import (
    engine,
    record,
    room,
    several,
    source,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.board import CHUNK
from ansible_collections.edgellm.host.plugins.module_utils.download.progress import Progress
from ansible_collections.edgellm.host.plugins.module_utils.download.transfer import Shape
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.run import run
from ansible_collections.edgellm.host.plugins.module_utils.status_file import StatusFile

MAGIC = b"GGUF"
LEAST = {
    "lanes": 1,
    "chunk_size": 1024 * 1024,
    "max_rate": 1024,
    "timeout": 1,
    "retries": 0,
    "size": 1,
}
# A source that gets more from one caller takes it for an attack.
MOST_LANES = 64


class Module(AnsibleModule):
    def add_path_info(self, kwargs: dict[str, t.Any]) -> dict[str, t.Any]:
        # It would put the size of the file that is there in place of that of the wanted one.
        return kwargs


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    gguf_source.hide(module, *params["mirrors"])
    if params["state"] == "absent":
        return remove(module)
    started = time.monotonic()
    refuse_out_of_bounds(params)
    parts = wanted(params)
    progress, status_file = Progress(), StatusFile(params["status_file"])

    def report(done: int, total: int, fetched: int) -> None:
        progress.feed(done, total, fetched)
        status_file.update(parts[0].dest.name, progress)

    def attributes(path: str) -> dict[str, t.Any]:
        return module.load_file_common_arguments(params, path=path)

    manner = engine.Manner(
        timeout=params["timeout"],
        retries=params["retries"],
        token=params["token"],
        check_mode=module.check_mode,
        verify=params["verify"],
        fetch_at_most=params["fetch_at_most"],
        shape=Shape(params["lanes"], params["chunk_size"], params["max_rate"]),
        finish=lambda path: module.set_fs_attributes_if_different(attributes(path), False),
        report=report,
        enter=progress.enter,
    )
    outcomes = several.ensure(parts, manner, size=params["size"])
    for warning in dict.fromkeys(each for outcome in outcomes for each in outcome.warnings):
        module.warn(warning)
    changed, diffs = False, {}
    # What is changed in a run that is only a try would be told by nobody.
    deferred = any(outcome.deferred for outcome in outcomes)
    for part, outcome in zip(parts, outcomes, strict=True):
        was_changed, diff = outcome.changed, outcome.diff
        if not was_changed and not deferred:
            found = attributes(str(part.dest))
            was_changed = module.set_fs_attributes_if_different(found, False, diff)
        changed, diffs[part.dest.name] = changed or was_changed, diff
    files = list(map(told, names(params), outcomes))
    return {
        "changed": changed,
        "diff": one_diff(diffs),
        **files[0],
        "size": sum(outcome.size for outcome in outcomes),
        "commit": outcomes[0].commit,
        "bytes_fetched": sum(outcome.bytes_fetched for outcome in outcomes),
        "bytes_reused": sum(outcome.bytes_reused for outcome in outcomes),
        "retries": sum(outcome.retries for outcome in outcomes),
        "elapsed": round(time.monotonic() - started, 3),
        "files": files,
        **({"attached": True} if any(outcome.attached for outcome in outcomes) else {}),
        **({"deferred": True} if deferred else {}),
    }


def remove(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    before = {}
    for name, (dest, remembered) in zip(names(params), places(params), strict=True):
        gone = engine.remove(dest, remembered, link=Path(name), check_mode=module.check_mode)
        before[dest.name] = {"state": "present" if gone else "absent"}
    diffs = {name: {"before": was, "after": {"state": "absent"}} for name, was in before.items()}
    return {
        "changed": any(was["state"] == "present" for was in before.values()),
        "diff": one_diff(diffs),
        "path": names(params)[0],
    }


def told(path: str, outcome: engine.Outcome) -> dict[str, object]:
    return {
        "path": path,
        "sha256": outcome.sha256,
        "size": outcome.size,
        "source": outcome.source,
        "bytes_fetched": outcome.bytes_fetched,
        "bytes_reused": outcome.bytes_reused,
    }


def one_diff(diffs: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    """The diff of the file, or of each of several by its name."""
    if len(diffs) == 1:
        return next(iter(diffs.values()))
    return {
        side: {name: diff[side] for name, diff in diffs.items()} for side in ("before", "after")
    }


# --- what the options ask for --------------------------------------------------------------------


def wanted(params: t.Mapping[str, t.Any]) -> list[engine.Wanted]:
    """The file, or each of those that the model is split into."""
    sources = gguf_source.siblings(gguf_source.where(params))
    count = len(sources)
    refuse_other_count(len(names(params)), count, sources[0].name)
    hashes = [digest for text in params["sha256"] or [] if (digest := checked_sha256(text))]
    if hashes and len(hashes) != count:
        raise Refused(
            f"sha256 has {len(hashes)} entries, and by the name of {sources[0].name} the files are "
            f"{count}: give one for each, in their order, or none."
        )
    mirrors = [mirrored(url, params["endpoint"], count) for url in params["mirrors"]]
    return [
        engine.Wanted(
            source=each,
            dest=dest,
            record=remembered,
            sha256=hashes[index] if hashes else None,
            magic=MAGIC,
            room=rooms(params),
            mirrors=tuple(its[index] for its in mirrors),
        )
        for index, (each, (dest, remembered)) in enumerate(
            zip(sources, places(params), strict=True)
        )
    ]


def names(params: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    """Where each file is, as dest says it."""
    return gguf_split.names(params["dest"])


def places(params: t.Mapping[str, t.Any]) -> list[tuple[Path, Path]]:
    """Where each file and its record really are."""
    # A link to a file on another disk stays one.
    dests = [Path(name).resolve() for name in names(params)]
    if not params["record"]:
        return [(dest, record.place(dest)) for dest in dests]
    kept = Path(params["record"])
    if len(dests) == 1:
        return [(dests[0], kept)]
    stem = kept.name.removesuffix(".json")
    return [
        (dest, kept.with_name(f"{stem}-{number:05}.json")) for number, dest in enumerate(dests, 1)
    ]


def mirrored(url: str, endpoint: str, count: int) -> list[source.Source]:
    found = gguf_source.siblings(source.from_url(url, endpoint, option="mirrors: the address"))
    if len(found) != count:
        raise Refused(
            f"By its name, the mirror {found[0].name} has {len(found)} of the files, and the model "
            f"has {count}. Files of a split model end in -00001-of-{count:05}.gguf everywhere."
        )
    return found


def refuse_other_count(dests: int, sources: int, source_name: str) -> None:
    if dests == sources:
        return
    if sources > 1:
        raise Refused(
            f"{source_name} is one of the {sources} files of a model, and they are all fetched. So "
            f"dest must end in -00001-of-{sources:05}.gguf too."
        )
    raise Refused(
        f"By its name, dest is one of {dests} files, but {source_name} is only one. Give dest "
        "another name, or name the source of a file whose name ends like that of dest."
    )


def rooms(params: t.Mapping[str, t.Any]) -> tuple[room.Room, ...]:
    if params["import_copies"] < 0:
        raise Refused(f"import_copies {params['import_copies']} cannot be: 0 means a link.")
    store = params["import_store"]
    return (room.Room(Path(store).resolve(), params["import_copies"]),) if store else ()


def refuse_out_of_bounds(params: t.Mapping[str, t.Any]) -> None:
    for name, least in LEAST.items():
        if params[name] is not None and params[name] < least:
            raise Refused(f"{name} {params[name]} is too little: it must be at least {least}.")
    if params["lanes"] > MOST_LANES:
        raise Refused(f"lanes {params['lanes']} is too much: it must be at most {MOST_LANES}.")


def checked_sha256(text: str | None) -> str | None:
    digest = (text or "").lower().removeprefix("sha256:")
    if digest and not re.fullmatch("[0-9a-f]{64}", digest):
        raise Refused(f"sha256 {text!r} is not one: it must be 64 hexadecimal digits.")
    return digest or None


def main() -> None:
    module = Module(
        argument_spec={
            **gguf_source.OPTIONS,
            "mirrors": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "dest": {"type": "path", "required": True},
            "sha256": {"type": "list", "elements": "str"},
            "size": {"type": "int"},
            "record": {"type": "path"},
            "timeout": {"type": "int", "default": 60},
            "retries": {"type": "int", "default": 6},
            "lanes": {"type": "int", "default": 8},
            "chunk_size": {"type": "int", "default": CHUNK},
            "max_rate": {"type": "int"},
            "import_store": {"type": "path"},
            "import_copies": {"type": "int", "default": 1},
            "verify": {"type": "str", "choices": ["auto", "always"], "default": "auto"},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            "mode": {"type": "raw", "default": "0644"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "fetch_at_most": {"type": "int"},
            "status_file": {"type": "path"},
        },
        mutually_exclusive=[("url", "repo")],
        required_together=[("repo", "file")],
        required_if=[("state", "present", ("url", "repo"), True)],
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()
