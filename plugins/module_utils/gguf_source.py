# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a module that say where a GGUF file comes from. Private."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.basic import env_fallback

from . import gguf_split
from .download import source

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

OPTIONS: dict[str, dict[str, t.Any]] = {
    "repo": {"type": "str"},
    "file": {"type": "str"},
    "revision": {"type": "str", "default": "main"},
    # It may be signed, and every invocation is written to the host's log.
    "url": {"type": "str", "no_log": True},
    "endpoint": {
        "type": "str",
        "default": source.HUB,
        "fallback": (env_fallback, ["HF_ENDPOINT"]),
    },
    "token": {
        "type": "str",
        "no_log": True,
        "fallback": (env_fallback, ["HF_TOKEN"]),
    },
}


def hide(module: AnsibleModule, *others: str) -> None:
    """Of addresses only the secret parts are hidden; the rest is what one wants to read."""
    for url in filter(None, (module.params["url"], module.params["endpoint"], *others)):
        module.no_log_values.discard(url)
        module.no_log_values.update(source.secrets_of(url))


def where(params: t.Mapping[str, t.Any]) -> source.Source:
    """The file that the options name."""
    if params["url"]:
        return source.from_url(params["url"], params["endpoint"])
    return source.hub_file(params["repo"], params["file"], params["revision"], params["endpoint"])


def siblings(file: source.Source) -> list[source.Source]:
    """All files of the model that this is a file of, in order."""
    if isinstance(file, source.HubFile):
        return [dataclasses.replace(file, file=name) for name in gguf_split.names(file.file)]
    address, mark, query = file.url.partition("?")
    return [source.PlainUrl(f"{name}{mark}{query}") for name in gguf_split.names(address)]
