# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's broken line.

`arm` orders the lab's origin to cut the next big download once, `tell` says what came of it.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FAULTS = "http://198.18.77.2/_lab/faults"
# Less than the smallest part that is asked for at once.
CUT_AFTER = 5_000_000
RULE = {"match": {"method": "GET", "path": "/hf-cdn/*.gguf"}, "action": {"cut_after": CUT_AFTER}}


def order(method: str, rules: object = None) -> None:
    """Change what the origin does wrong."""
    body = None if rules is None else json.dumps(rules).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(FAULTS, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=10):
        pass


def story(requests: Iterable[Mapping[str, Any]]) -> str:
    """One sentence about the download, from the origin's record; empty if there was none."""
    parts = [r for r in requests if "/hf-cdn/" in r["path"] and r["method"] == "GET"]
    cuts = [r for r in parts if "cut_after" in (r.get("fault") or "")]
    if not cuts:
        return ""
    fetched = sum(r["bytes"] for r in parts)
    size = max(_total(r) for r in parts)
    twice = max(fetched - size, 0)
    return (
        f"On the way a connection was cut after {cuts[0]['bytes'] / 1e6:.1f} MB of "
        f"{Path(parts[0]['path']).name}; the download went on from there, and "
        f"{twice / 1e6:.1f} MB came twice."
    )


def _total(request: Mapping[str, Any]) -> int:
    """The file as far as one request shows it: where its range began, and what came."""
    start = (request.get("range") or "bytes=0-").removeprefix("bytes=").partition("-")[0]
    return int(start or 0) + int(request["bytes"])


def main() -> int:
    if sys.argv[1:] == ["arm"]:
        order("DELETE")
        order("POST", [RULE])
    elif sys.argv[1:] == ["tell"]:
        order("DELETE")
        print(story(map(json.loads, sys.stdin)))
    else:
        print("usage: demo_cut.py arm | tell <record", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
