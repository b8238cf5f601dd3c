# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for NVIDIA's Container Toolkit; they run in boxes, without libraries."""
