# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the cloudflared image: the same command, and a tunnel that leads nowhere."""
