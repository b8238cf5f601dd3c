# SPDX-License-Identifier: GPL-3.0-or-later
"""A pretended GPU, and stand-ins for what NVIDIA's Container Toolkit brings."""
