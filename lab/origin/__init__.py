# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's stand-in for the public download services; its request record is the tests' witness."""
