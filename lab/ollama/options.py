# SPDX-License-Identifier: GPL-3.0-or-later
"""Model options: their types, defaults, and what each one means to llama.cpp."""

from __future__ import annotations

import dataclasses
import typing as t

from lab.ollama import log
from lab.ollama.errors import ApiError

_INTEGER, _FLOAT, _BOOLEAN, _STRINGS = "integer", "float32", "boolean", "array"
TYPES = {
    **dict.fromkeys(
        ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict",
         "num_keep", "seed", "num_predict", "top_k", "repeat_last_n"), _INTEGER),
    **dict.fromkeys(
        ("top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty",
         "frequency_penalty"), _FLOAT),
    "use_mmap": _BOOLEAN,
    "stop": _STRINGS,
}  # fmt: skip
DEFAULTS: dict[str, t.Any] = {
    "num_keep": 4, "seed": -1, "num_predict": -1, "top_k": 40, "top_p": 0.9, "min_p": 0.0,
    "typical_p": 1.0, "repeat_last_n": 64, "temperature": 0.8, "repeat_penalty": 1.0,
    "presence_penalty": 0.0, "frequency_penalty": 0.0, "stop": [],
    "num_ctx": 0, "num_batch": 512, "num_gpu": -1, "main_gpu": 0, "num_thread": 0, "use_mmap": True,
}  # fmt: skip
LOAD_KEYS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap")
_LLAMA_NAMES = {
    "num_keep": "n_keep", "seed": "seed", "num_predict": "n_predict", "top_k": "top_k",
    "top_p": "top_p", "min_p": "min_p", "typical_p": "typical_p",
    "repeat_last_n": "repeat_last_n", "temperature": "temperature",
    "repeat_penalty": "repeat_penalty", "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty", "stop": "stop",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of one request, the model's and the defaults included."""

    values: dict[str, t.Any]

    @property
    def load(self) -> dict[str, t.Any]:
        """The part that takes effect when the weights are loaded."""
        return {key: self.values[key] for key in LOAD_KEYS}

    @property
    def sampling(self) -> dict[str, t.Any]:
        """The part that goes with each request, under llama.cpp's names."""
        return {theirs: self.values[ours] for ours, theirs in _LLAMA_NAMES.items()}


def resolve(model: t.Mapping[str, t.Any], request: t.Mapping[str, t.Any] | None) -> Options:
    """Lay the request's options over the model's over the defaults, checking every type."""
    values = dict(DEFAULTS)
    for given in (model, request or {}):
        for key, item in given.items():
            if key not in TYPES:
                log.warning("invalid option provided", option=key)
            elif item is not None:
                values[key] = _checked(key, item)
    return Options(values)


def _checked(key: str, item: t.Any) -> t.Any:
    kind = TYPES[key]
    is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
    fits = {
        _INTEGER: is_number,
        _FLOAT: is_number,
        _BOOLEAN: isinstance(item, bool),
        _STRINGS: isinstance(item, list),
    }[kind]
    if not fits:
        raise ApiError(f'option "{key}" must be of type {kind}')
    if kind == _STRINGS and not all(isinstance(element, str) for element in item):
        raise ApiError(f'option "{key}" must be of an array of strings')
    return int(item) if kind == _INTEGER else item
