# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m lab.cloudflared`: the `cloudflared` command of the stand-in."""

from lab.cloudflared.cli import main

raise SystemExit(main())
