#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_probe
short_description: Ask a model one real question
version_added: 0.1.0
description:
  - Sends one request to a model and measures the answer, to prove that the model really works
    where it is.
  - With O(record), a probe that passed is remembered, and not repeated until the model, the
    server or the request changes.
extends_documentation_fragment:
  - edgellm.host._connection
  - edgellm.host._attributes
  - edgellm.host._attributes.actiongroup_ollama
attributes:
  check_mode:
    support: full
    details: Nothing is asked of the model. If it is not installed yet, the probe is predicted to
      take place.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: With O(record) and without O(force). Without O(record) nothing on the host is changed
      at all.
options:
  name:
    description:
      - The name of the model, V([host/][namespace/]model[:tag]).
    type: str
    required: true
    aliases: [model]
  kind:
    description:
      - V(chat) asks for an answer in words, V(generate) for the completion of a prompt (without a
        conversation around it), V(embed) for an embedding.
      - V(auto) takes V(embed) for models that can only embed, and V(chat) for all others.
    type: str
    choices: [auto, chat, generate, embed]
    default: auto
  prompt:
    description:
      - What to ask, or the text to embed.
    type: str
    default: "Hello! Who are you?"
  system:
    description:
      - The system message. Not for V(embed).
    type: str
  format:
    description:
      - A JSON schema that the answer must follow, or V(json) for any JSON. Not for V(embed).
      - The server makes the model follow the schema. What is checked here is that the answer is
        JSON, so whole.
    type: raw
  options:
    description:
      - Options of the model for this request, such as C(num_ctx).
      - Except for V(embed), C(temperature) is V(0), C(seed) is V(1) and C(num_predict) is V(128)
        unless given here.
    type: dict
  expect:
    description:
      - A Python regular expression that must be found in the answer. Not for V(embed).
    type: str
  expect_language:
    description:
      - The language that the answer must be in, as far as its letters tell. Not for V(embed).
      - "At least half of the words must be in the script of the language. Words are counted, so a
        few foreign names do no harm; where no blanks are between words, in Japanese, Chinese and
        Thai, letters are counted. With O(format), what counts is the text in the values."
      - V(ja) needs kana among the characters, V(zh) needs Han characters with next to no kana.
      - "B(Languages with the same letters cannot be told apart): French passes for V(en),
        Ukrainian for V(ru), Persian for V(ar), Marathi for V(hi)."
    type: str
    choices: [ar, el, en, he, hi, ja, ko, ru, th, zh]
  min_tokens:
    description:
      - The answer must have at least so many tokens. It does not count for V(embed).
    type: int
    default: 1
  dimensions:
    description:
      - How long the embedding must be. Only for V(embed).
    type: int
  require_gpu:
    description:
      - The share of the model, in percent, that must be in the memory of GPUs. V(true) is the whole
        model, V(100), and V(false) no requirement, V(0).
      - This is what the server tells in C(/api/ps), C(size_vram) of C(size). See
        RV(probe.tokens_per_second) for whether it can be true; servers have kept telling so after
        they lost their GPU.
      - With O(record), a pass tells where the model was when it was asked. Set O(force) to look
        again.
    type: raw
    default: false
  record:
    description:
      - A JSON file on the managed host that remembers the last probe of this model. Its folder
        must exist.
      - If it tells that the same request passed with the same digest of the model and the same
        version of the server, that result is returned and nothing is asked.
    type: path
  force:
    description:
      - Ask even if O(record) has a pass.
    type: bool
    default: false
seealso:
  - module: edgellm.host.ollama_model
author:
  - edgellm contributors (@edgellm)
"""

EXAMPLES = r"""
- name: See how fast the model answers
  edgellm.host.ollama_probe:
    name: qwen2.5:7b-instruct
    prompt: Introduce yourself in one paragraph.
    min_tokens: 10
  register: answer

- name: Probe the embedding model unless it passed before
  edgellm.host.ollama_probe:
    name: bge-m3
    record: /srv/edgellm/state/probe-bge-m3.json

- name: Refuse a model that answers in Chinese, or from the CPU
  edgellm.host.ollama_probe:
    name: elyza-jp-8b
    prompt: 日本語で自己紹介。
    expect_language: ja
    require_gpu: true

- name: Have the answer follow a schema
  edgellm.host.ollama_probe:
    name: llama3.2:3b
    prompt: Which is the highest mountain of Japan?
    format:
      type: object
      properties:
        mountain:
          type: string
      required: [mountain]
    expect: mountain
"""

RETURN = r"""
probe:
  description: The answer, measured. In check mode only if it is a recorded one.
  returned: when the model was asked, even if the answer is not as wanted, or when a recorded pass
    was found
  type: dict
  contains:
    kind:
      description: V(chat), V(generate) or V(embed).
      type: str
      sample: chat
    text:
      description: The answer in words. V(none) for an embedding.
      type: str
      sample: I am a large language model.
    tokens_per_second:
      description: How fast the answer was generated. V(none) for an embedding.
      type: float
      sample: 41.7
    eval_count:
      description: How many tokens were generated, or for an embedding read.
      type: int
      sample: 58
    done_reason:
      description: Why the answer ended, V(stop) or V(length). V(none) for an embedding.
      type: str
      sample: stop
    load_seconds:
      description: How long it took to load the model.
      type: float
      sample: 2.413
    dimensions:
      description: The length of the embedding. V(none) for an answer in words.
      type: int
      sample: 1024
    size:
      description: How much memory the loaded model takes, in bytes. V(none) if the server had
        unloaded it already.
      type: int
      sample: 5816832000
    size_vram:
      description: How much of that is memory of a GPU.
      type: int
      sample: 5816832000
    processor:
      description: Where the model runs, such as V(100% GPU), V(100% CPU) or V(37% CPU / 63% GPU).
      type: str
      sample: 100% GPU
    gpu_share:
      description: How many percent of the model are in the memory of GPUs, rounded down. V(none) if
        the server does not tell.
      type: float
      sample: 100.0
    digest:
      description: The digest of the model.
      type: str
      sample: 845dbda0ea48ed749caafd9e6037047aa19acfcfd82e704d7ca97d631a0b697e
    server_version:
      description: The version of the server that answered.
      type: str
      sample: 0.32.15
    measured_at:
      description: When the model was asked, in UTC.
      type: str
      sample: "2026-08-21T10:00:00+00:00"
    recorded:
      description: Whether this is the recorded result of an earlier run.
      type: bool
      sample: false
planned:
  description: The kind of probe that would take place, V(auto) if the model is not installed yet.
  returned: in check mode, when the model would be asked
  type: str
  sample: chat
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.ollama import (
    answer,
    language,
    names,
    probe,
    record,
    spec,
)
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    request = answer.Request(
        name=names.parse(params["name"]),
        kind=params["kind"],
        prompt=params["prompt"],
        system=params["system"],
        format=probe.parse_format(params["format"]),
        options=params["options"],
        expect=params["expect"],
        expect_language=params["expect_language"],
        min_tokens=params["min_tokens"],
        dimensions=params["dimensions"],
        require_gpu=probe.parse_share(params["require_gpu"]),
    )
    with spec.connect(params) as client:
        outcome = probe.ensure(
            client,
            request,
            record=record.Record(params["record"]) if params["record"] else None,
            force=params["force"],
            check_mode=module.check_mode,
        )
    result: dict[str, object] = {"changed": outcome.changed}
    if outcome.probe is not None:
        result["probe"] = outcome.probe
    if outcome.planned is not None:
        result["planned"] = outcome.planned
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **spec.CONNECTION,
            "name": {"type": "str", "required": True, "aliases": ["model"]},
            "kind": {
                "type": "str",
                "choices": ["auto", "chat", "generate", "embed"],
                "default": "auto",
            },
            "prompt": {"type": "str", "default": "Hello! Who are you?"},
            "system": {"type": "str"},
            "format": {"type": "raw"},
            "options": {"type": "dict"},
            "expect": {"type": "str"},
            "expect_language": {"type": "str", "choices": list(language.LANGUAGES)},
            "min_tokens": {"type": "int", "default": 1, "no_log": False},
            "dimensions": {"type": "int"},
            "require_gpu": {"type": "raw", "default": False},
            "record": {"type": "path"},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, work, needs_httpx=True)


if __name__ == "__main__":
    main()
