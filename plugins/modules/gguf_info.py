#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gguf_info
short_description: Read what a GGUF file says of itself, here or at its source
version_added: 0.1.0
description:
  - Reads the header of a GGUF file on the managed host, in a Hugging Face repository or behind any
    URL. Of a file elsewhere it fetches the header, usually a few MB, and none of the weights.
  - A model in several files, C(<name>-00001-of-0000N.gguf), is told as one. Name any of them. All
    of them must be there.
  - A header that is damaged, or claims more than any real one has, is refused, and so is a file
    that is shorter than its tensors.
  - The content of a file is not hashed. M(edgellm.host.gguf_file) does that.
extends_documentation_fragment:
  - edgellm.host._attributes
  - edgellm.host._attributes.read_only
options:
  path:
    description: The file on the managed host.
    type: path
  repo:
    description: The repository, V(namespace/name).
    type: str
  file:
    description: The path of the file inside O(repo).
    type: str
  revision:
    description: The branch, tag or commit of O(repo).
    type: str
    default: main
  url:
    description:
      - The address of the file, if it is not O(repo) and O(file).
      - An address copied from a page of Hugging Face, with C(/resolve/) or C(/blob/) in it, is
        understood as O(repo), O(file) and O(revision).
      - The part behind the question mark counts as a secret. It appears in no result or log.
    type: str
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
  template_text:
    description: Whether the text of the chat template is told, and not only its hash.
    type: bool
    default: false
  timeout:
    description: How many seconds the source may stay silent.
    type: int
    default: 60
  retries:
    description: How many times in a row a request may fail for a reason that may pass.
    type: int
    default: 3
requirements:
  - python >= 3.10
  - httpx >= 0.22, for a file that is not on the managed host
seealso:
  - module: edgellm.host.gguf_file
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See what a model is before it is fetched
  edgellm.host.gguf_info:
    repo: elyza/Llama-3-ELYZA-JP-8B-GGUF
    file: Llama-3-ELYZA-JP-8B-q4_k_m.gguf
  delegate_to: localhost
  register: found

- name: Say it
  ansible.builtin.debug:
    msg: >-
      {{ found.gguf.name }}: {{ found.gguf.file_type }}, context {{ found.gguf.context_length }},
      {{ found.gguf.size | ansible.builtin.human_readable }}

- name: Read a file that is on the host
  edgellm.host.gguf_info:
    path: /srv/edgellm/models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf
    template_text: true
"""

RETURN = r"""
gguf:
  description: What the file says. Whatever it does not say is V(none).
  returned: success
  type: dict
  contains:
    parts:
      description: The files of the model, in order. Most models have one.
      type: list
      elements: dict
      contains:
        source:
          description: The path, or the address without any secret part of it.
          type: str
          sample: /srv/models/smollm2-135m.gguf
        size:
          description: The size in bytes.
          type: int
          sample: 104857600
        sha256:
          description: The SHA-256 that the source states. Nobody states one for a file on the host.
          type: str
          sample: 91553c45080b11d95be21bb67961c9a5d2ed7556275423efaaad6df54ba9beae
        tensor_count:
          description: How many tensors are in it.
          type: int
          sample: 272
    commit:
      description: The commit of the repository that was read.
      type: str
      sample: 0123456789abcdef0123456789abcdef01234567
    size:
      description: The size of all files together in bytes.
      type: int
      sample: 104857600
    version:
      description: The version of the format.
      type: int
      sample: 3
    type:
      description: What it is for, such as V(model), V(adapter) or V(mmproj). Older files do not
        say.
      type: str
      sample: model
    architecture:
      description: The architecture, in the word of C(llama.cpp).
      type: str
      sample: llama
    name:
      description: The name that its makers gave it.
      type: str
      sample: SmolLM2 135M Instruct
    parameter_count:
      description: How many numbers all tensors have.
      type: int
      sample: 134515008
    file_type:
      description: How the weights are quantized, as the file says it. V(unknown) if it does not.
      type: str
      sample: Q4_K_M
    weight_type:
      description: The type that most bytes of the tensors have. V(none) without a known type.
      type: str
      sample: Q4_K
    bytes_by_type:
      description: The bytes of the tensors of each type, as far as the types are known.
      type: dict
      sample: {Q4_K: 70000000, Q6_K: 30000000, F32: 150000}
    tensor_count:
      description: How many tensors there are.
      type: int
      sample: 272
    tensor_bytes:
      description: The bytes of all tensors. V(none) if one has a type that this module does not
        know.
      type: int
      sample: 100150000
    context_length:
      description: How many tokens of context the model was made for.
      type: int
      sample: 8192
    embedding_length:
      description: The length of an embedding.
      type: int
      sample: 576
    block_count:
      description: How many layers there are.
      type: int
      sample: 30
    head_count:
      description: How many attention heads a layer has, or a list where layers differ.
      type: raw
      sample: 9
    head_count_kv:
      description: How many of them have keys and values of their own, or a list where layers
        differ.
      type: raw
      sample: 3
    key_length:
      description: The length of a key. Where it is not stated, RV(gguf.embedding_length) is divided
        by RV(gguf.head_count).
      type: int
      sample: 64
    value_length:
      description: The length of a value, likewise.
      type: int
      sample: 64
    sliding_window:
      description: How many tokens a layer with a sliding window looks back.
      type: int
      sample: 4096
    expert_count:
      description: How many experts a layer has.
      type: int
      sample: 8
    expert_used_count:
      description: How many experts work on a token.
      type: int
      sample: 2
    rope:
      description: How positions are encoded.
      type: dict
      contains:
        dimension_count:
          description: How many dimensions are rotated.
          type: int
          sample: 64
        freq_base:
          description: The base of the frequencies.
          type: float
          sample: 100000.0
        scaling_type:
          description: How the context was stretched, such as V(linear) or V(yarn).
          type: str
          sample: yarn
        scaling_factor:
          description: By how much.
          type: float
          sample: 4.0
        original_context_length:
          description: The context before that.
          type: int
          sample: 2048
    tokenizer_model:
      description: The kind of the tokenizer.
      type: str
      sample: gpt2
    vocabulary_size:
      description: How many tokens it knows.
      type: int
      sample: 49152
    chat_template:
      description: The Jinja template for a chat.
      type: dict
      contains:
        present:
          description: Whether there is one.
          type: bool
          sample: true
        sha256:
          description: The SHA-256 of its text in UTF-8.
          type: str
          sample: 0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0
        text:
          description: Its text. V(none) unless O(template_text=true).
          type: str
          sample: "{{ messages[0].content }}"
bytes_fetched:
  description: How many bytes of the file came over the network.
  returned: success
  type: int
  sample: 8388608
"""

import contextlib
import dataclasses
import hashlib
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils import gguf, gguf_source, gguf_split
from ansible_collections.edgellm.host.plugins.module_utils.download import resolve, source
from ansible_collections.edgellm.host.plugins.module_utils.download.beginning import Beginning
from ansible_collections.edgellm.host.plugins.module_utils.download.errors import (
    DownloadError,
    Transient,
    Unavailable,
)
from ansible_collections.edgellm.host.plugins.module_utils.download.http import Http
from ansible_collections.edgellm.host.plugins.module_utils.download.patience import Patience
from ansible_collections.edgellm.host.plugins.module_utils.errors import Refused
from ansible_collections.edgellm.host.plugins.module_utils.run import run


@dataclasses.dataclass
class Found:
    """The files of the model, and what it took to read them."""

    parts: list[gguf_split.Part] = dataclasses.field(default_factory=list)
    commit: str | None = None
    bytes_fetched: int = 0


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    gguf_source.hide(module)
    found = read_local(params["path"]) if params["path"] else read_remote(params)
    for index, part in enumerate(found.parts):
        gguf_split.refuse_stranger(part, index, len(found.parts))
    header = gguf_split.join(found.parts)
    files = {
        "parts": [told_part(part) for part in found.parts],
        "commit": found.commit,
        "size": sum(part.size for part in found.parts),
    }
    told = {**files, **told_header(header), "chat_template": told_template(header, params)}
    return {"changed": False, "gguf": told, "bytes_fetched": found.bytes_fetched}


def read_local(path: str) -> Found:
    names = gguf_split.names(path)
    missing = [name for name in names if not Path(name).exists()]
    if missing and path not in missing:
        raise Refused(
            f"{path} is one of {len(names)} files of a model, and these are missing: "
            f"{', '.join(missing)}. Download them to the same folder."
        )
    headers = {name: gguf.read(name) for name in names}
    return Found(
        [gguf_split.Part(name, Path(name).stat().st_size, headers[name]) for name in names]
    )


def read_remote(params: t.Mapping[str, t.Any]) -> Found:
    first = gguf_source.where(params)
    endpoint = first.endpoint if isinstance(first, source.HubFile) else ""
    patience = Patience(params["retries"])
    found = Found()
    with (
        Http(timeout=params["timeout"], token=params["token"], token_for=endpoint) as http,
        nothing_is_kept(),
    ):
        files = gguf_source.siblings(first)
        for index, file in enumerate(files):
            with names_the_missing(index, len(files)):
                read_part(http, of_commit(file, found.commit), patience, found)
    return found


def read_part(http: Http, file: source.Source, patience: Patience, found: Found) -> None:
    """Add what this file says to what was found."""
    remote = resolve.resolve(http, file, patience)
    beginning = Beginning(http, remote, patience)
    header = gguf.read_named(beginning, file.name)
    size = header.end if beginning.size is None else beginning.size
    gguf.refuse_cut(header, file.name, size, remedy="Take another file, or tell its makers.")
    address = source.without_secrets(remote.url)
    found.parts.append(gguf_split.Part(address, size, header, remote.sha256))
    found.commit = found.commit or remote.commit
    found.bytes_fetched += beginning.fetched


def of_commit(file: source.Source, commit: str | None) -> source.Source:
    """The file in the commit of those before it: a branch may move while they are read."""
    if isinstance(file, source.HubFile) and commit:
        return dataclasses.replace(file, revision=commit)
    return file


@contextlib.contextmanager
def names_the_missing(index: int, count: int) -> t.Iterator[None]:
    try:
        yield
    except Unavailable as error:
        if count == 1 or error.status not in (404, 410):
            raise
        said = f"Of the {count} files of the model, number {index + 1} is missing: {error}"
        raise Refused(said) from error


@contextlib.contextmanager
def nothing_is_kept() -> t.Iterator[None]:
    """In place of the promise that goes with a download, say only what went wrong."""
    try:
        yield
    except DownloadError as error:
        if not isinstance(error.__cause__, Transient):
            raise
        raise DownloadError(f"{error.__cause__} Try it again later.") from error


def told_part(part: gguf_split.Part) -> dict[str, object]:
    return {
        "source": part.name,
        "size": part.size,
        "sha256": part.sha256,
        "tensor_count": len(part.header.tensors),
    }


def told_header(header: gguf.Header) -> dict[str, object]:
    rope = f"{header.architecture}.rope"
    return {
        "version": header.version,
        "type": header.type or None,
        "architecture": header.architecture,
        "name": header.name or None,
        "parameter_count": header.parameter_count,
        "file_type": header.file_type,
        "weight_type": next(iter(header.bytes_by_type), None),
        "bytes_by_type": header.bytes_by_type,
        "tensor_count": len(header.tensors),
        "tensor_bytes": header.tensor_bytes,
        "context_length": header.context_length,
        "embedding_length": header.embedding_length,
        "block_count": header.block_count,
        "head_count": header.per_layer("attention.head_count"),
        "head_count_kv": header.per_layer("attention.head_count_kv"),
        "key_length": header.of_architecture("attention.key_length"),
        "value_length": header.of_architecture("attention.value_length"),
        "sliding_window": header.of_architecture("attention.sliding_window"),
        "expert_count": header.of_architecture("expert_count"),
        "expert_used_count": header.of_architecture("expert_used_count"),
        "rope": {
            "dimension_count": header.number(f"{rope}.dimension_count"),
            "freq_base": header.real(f"{rope}.freq_base"),
            "scaling_type": header.text(f"{rope}.scaling.type") or None,
            "scaling_factor": header.real(f"{rope}.scaling.factor"),
            "original_context_length": header.number(f"{rope}.scaling.original_context_length"),
        },
        "tokenizer_model": header.text("tokenizer.ggml.model") or None,
        "vocabulary_size": header.vocabulary_size,
    }


def told_template(header: gguf.Header, params: t.Mapping[str, t.Any]) -> dict[str, object]:
    text = header.chat_template
    return {
        "present": bool(text),
        "sha256": hashlib.sha256(text.encode()).hexdigest() if text else None,
        "text": text if text and params["template_text"] else None,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"},
            **gguf_source.OPTIONS,
            "template_text": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 60},
            "retries": {"type": "int", "default": 3},
        },
        mutually_exclusive=[("path", "url", "repo")],
        required_one_of=[("path", "url", "repo")],
        required_together=[("repo", "file")],
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=not module.params["path"])


if __name__ == "__main__":
    main()
