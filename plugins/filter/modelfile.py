# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError
from ansible_collections.edgellm.host.plugins.module_utils.ollama import modelfile
from ansible_collections.edgellm.host.plugins.module_utils.ollama.errors import InvalidModelfile


def parse(
    text: str, directory: str = modelfile.DIRECTORY, digests: dict[str, str] | None = None
) -> dict[str, t.Any]:
    if not isinstance(text, str):
        raise AnsibleFilterError(
            f"edgellm.host.modelfile_parse: the text of a Modelfile is needed, not {text!r}."
        )
    try:
        read = modelfile.parse(text)
        request = modelfile.request(read, directory=directory, digests=digests)
    except InvalidModelfile as error:
        where = f" (line {error.line} of the text)" if error.line else ""
        raise AnsibleFilterError(f"edgellm.host.modelfile_parse: {error}{where}") from error
    return {
        "commands": [[command.name, command.args] for command in read.commands],
        "request": request,
        "deprecated": [command.name for command in read.deprecated],
    }


def render(commands: t.Any) -> str:
    if isinstance(commands, dict):
        commands = commands.get("commands")
    try:
        pairs = [modelfile.Command(str(name), str(value)) for name, value in commands]
    except (TypeError, ValueError) as error:
        raise AnsibleFilterError(
            "edgellm.host.modelfile_render: a list of pairs of a name and a value is needed, "
            f"not {commands!r}."
        ) from error
    try:
        return modelfile.render(pairs)
    except EdgellmError as error:
        raise AnsibleFilterError(f"edgellm.host.modelfile_render: {error}.") from error


class FilterModule:
    def filters(self) -> dict[str, t.Any]:
        return {"modelfile_parse": parse, "modelfile_render": render}
