# SPDX-License-Identifier: GPL-3.0-or-later
"""systemctl and journalctl that keep units in files: the states are those of real ones."""

from __future__ import annotations

import json
from pathlib import Path

_SYSTEMCTL = """\
#!/usr/bin/env python3
import json, pathlib, sys

home = pathlib.Path({home!r})
units = json.loads((home / "units.json").read_text())
verb, arguments = sys.argv[1], [a for a in sys.argv[2:] if not a.startswith("-")]
names = [a if "." in a else a + ".service" for a in arguments]
with (home / "calls").open("a") as calls:
    calls.write(" ".join([verb, *names]) + "\\n")
if verb == "is-active":
    print("\\n".join(units.get(name, "inactive") for name in names))
elif verb == "show":
    print((home / "requires").read_text())
elif verb == "start":
    units.update(dict.fromkeys(names, "active"))
elif verb == "restart":
    config = pathlib.Path({config!r})
    good = "nonsense" not in (config.read_text() if config.exists() else "")
    units.update(dict.fromkeys(names, "active" if good else "failed"))
    for name in (home / "requires").read_text().partition("=")[2].split():
        units[name] = "inactive"
(home / "units.json").write_text(json.dumps(units))
sys.exit(0)
"""
_JOURNALCTL = """\
#!/bin/sh
cat '{home}/journal'
"""


class FakeSystemd:
    """An engine's unit that fails as soon as its configuration holds the word nonsense."""

    def __init__(self, home: Path, config: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        for name, text in (("systemctl", _SYSTEMCTL), ("journalctl", _JOURNALCTL)):
            program = self.bin / name
            program.write_text(text.format(home=str(home), config=str(config)))
            program.chmod(0o755)
        self.units({"docker.service": "active"})
        self.require()
        (home / "journal").write_text("")

    def units(self, states: dict[str, str]) -> None:
        (self.home / "units.json").write_text(json.dumps(states))

    def state(self, unit: str) -> str:
        return json.loads((self.home / "units.json").read_text()).get(unit, "inactive")

    def require(self, *units: str) -> None:
        """These units need the engine: a restart of it stops them."""
        (self.home / "requires").write_text(f"RequiredBy={' '.join(units)}\n")

    def journal(self, *lines: str) -> None:
        (self.home / "journal").write_text("".join(f"{line}\n" for line in lines))

    @property
    def calls(self) -> list[str]:
        """What was asked that is more than a question."""
        path = self.home / "calls"
        said = path.read_text().splitlines() if path.exists() else []
        return [line for line in said if line.split()[0] not in ("is-active", "show")]
