# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m lab.ollama`: the `ollama` command of the stand-in."""

from lab.ollama.cli import main

raise SystemExit(main())
