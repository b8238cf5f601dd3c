# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in says it is."""

from __future__ import annotations

#: The real program whose ways these are, and that this is not it.
VERSION = "2026.8.2+standin"
NOTICE = "a stand-in of the edgellm lab, not Cloudflare's program; it connects nowhere"
