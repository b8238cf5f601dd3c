# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in internet and fresh machines on this machine's container engine."""
