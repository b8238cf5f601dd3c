# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about the words with which a server fails. Pure. Private."""

from __future__ import annotations

_KEPT = "What was fetched is kept: run it again"
# A part of what the server says, and what helps then; the first that fits counts.
_REMEDIES = {
    "no space left on device": "Free space on the disk of the server's store (ollama_model_prune "
    "shows what can go), and run it again.",
    "file must be downloaded again": "The server has thrown away that blob and kept the others: "
    "run it again. If that does not help, the registry or something in between damages it.",
    "digest mismatch, expected": "The file on the host is not the one that gguf_sha256 names: "
    "fetch it again, or correct the option.",
    "pull model manifest: file does not exist": "Check the spelling of the name and the tag.",
    "pull model manifest: 412": "Raise ollama_server_image.",
    "pull model manifest:": f"{_KEPT} when the server can reach its registry, or name a mirror in "
    "registry_mirror.",
    "file does not exist": "The registry offers the model but lacks a part of it. Is a mirror "
    f"incomplete? {_KEPT} when it is whole.",
    "max retries exceeded": f"{_KEPT} when the registry answers.",
    "context deadline exceeded": f"{_KEPT} when the registry answers.",
}


def remedy(said: str) -> str:
    """The sentence that helps, to be put behind what the server says, or nothing."""
    return next((f". {help_}" for words, help_ in _REMEDIES.items() if words in said), "")
