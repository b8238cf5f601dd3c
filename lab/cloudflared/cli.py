# SPDX-License-Identifier: GPL-3.0-or-later
"""The `cloudflared` command, as far as a container needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lab.cloudflared import flags
from lab.cloudflared.errors import CommandError, UsageError
from lab.cloudflared.flags import Line
from lab.cloudflared.version import NOTICE, VERSION

_KNOWN = "version, tunnel run, tunnel ready"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its status."""
    try:
        _command(flags.parse(sys.argv[1:] if argv is None else argv, os.environ))
    except UsageError as exc:
        print(f"{exc}\nSee 'cloudflared tunnel run --help'.", file=sys.stderr)
        return exc.status
    except CommandError as exc:
        print(exc, file=sys.stderr)
        return exc.status
    return 0


def _command(line: Line) -> None:
    if line.switch("version"):
        _version(short=False)
        return
    match line.words:
        case ("version",):
            _version(short=line.switch("short"))
        case ("tunnel", "ready"):
            # Each command loads what it needs: a health check runs every few seconds.
            from lab.cloudflared.ready import ready

            ready(line)
        case ("tunnel", "run", *rest):
            from lab.cloudflared.run import run

            if len(rest) > 1:
                raise UsageError(
                    '"cloudflared tunnel run" accepts only one argument, the ID or name of the '
                    "tunnel to run."
                )
            run(line)
        case words:
            raise CommandError(
                f"{' '.join(words) or 'service mode'}: this is {NOTICE}; it knows {_KNOWN}"
            )


def _version(*, short: bool) -> None:
    print(VERSION if short else f"cloudflared version {VERSION} ({NOTICE})")
