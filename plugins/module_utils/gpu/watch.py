# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watch the GPU from a timer: look quietly, print what changed, exit 1 while something is broken.

Runs on the host without Ansible: python3 -m edgellm_host.gpu.watch. Nothing is loaded, started or
restarted for it. Private.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from . import gate, observe, record

RECORD = "state/gpu-gate.json"


def main(arguments: list[str] | None = None) -> int:
    """0: every link holds, 1: one is broken, 2: it was called wrongly."""
    asked = _parser().parse_args(arguments)
    path = Path(asked.root, RECORD)
    if not path.parent.is_dir():
        print(f"{path.parent} is no folder: --root is not where edgellm lives.", file=sys.stderr)
        return 2
    questions = observe.Questions(
        container=asked.container, url=asked.url, expect=asked.expect, cdi_path=asked.cdi_path
    )
    seen = observe.gather(questions, asked.system)
    verdict = gate.judge(seen, asked.expect, asked.min_share)
    before = record.read(str(path))
    for line in record.changes(before, verdict):
        print(line)
    wanted = record.content(before, verdict)
    if wanted != before.content:
        record.keep(str(path), wanted)
    return 0 if verdict.ok else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="edgellm_host.gpu.watch", description=__doc__)
    parser.add_argument("--root", default="/srv/edgellm", help="where edgellm lives on this host")
    parser.add_argument("--url", default="", help="Ollama's API; default: the container's address")
    parser.add_argument("--container", default="ollama", help="name of Ollama's container")
    parser.add_argument("--expect", default="auto", choices=get_args(gate.Expect))
    parser.add_argument("--min-share", type=float, default=90, help="percent in GPU memory")
    parser.add_argument("--cdi-path", help="the CDI specification; default: the service's")
    parser.add_argument("--system", default="/", help="the root of the system to look at")
    return parser


if __name__ == "__main__":
    sys.exit(main())
