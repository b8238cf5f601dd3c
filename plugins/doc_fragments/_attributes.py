# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vocabulary of the modules' attributes. Private."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and predict the change without making it.
  diff_mode:
    description: Tells in diff mode what changed, or in check mode what would change.
  idempotent:
    description: When run twice with the same arguments, and nothing else changed in between, the
      second run changes nothing.
"""

    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: This action does not modify anything.
  diff_mode:
    support: N/A
    details: This action does not modify anything.
  idempotent:
    support: full
    details: This action does not modify anything.
"""

    ACTIONGROUP_OLLAMA = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/edgellm.host.ollama) in C(module_defaults) to set defaults for this
      module.
    support: full
    membership:
      - edgellm.host.ollama
"""
