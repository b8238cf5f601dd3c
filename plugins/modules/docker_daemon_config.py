#!/usr/bin/python
# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon_config
short_description: Own some keys of the Docker Engine's daemon.json
version_added: 0.1.0
description:
  - Merges keys into C(daemon.json) three ways, between what the file holds, what this section of
    the configuration set last time and what it wants now. Keys that others set, by hand or by
    another section, stay.
  - A key this section set before and no longer wants is removed, unless somebody gave it another
    value since. A key it wants is set back when somebody changed it. Objects are merged deeply,
    lists are replaced whole.
  - When the file changed and the engine runs, the engine is restarted. If it does not answer in
    time, the previous file is put back, the engine is started with it, and the task fails with the
    line of the journal that says why.
  - A file that says C(proxies) is made readable by its owner alone, and passwords in URLs are not
    shown in what the module returns.
  - Units that stop with the engine and do not come back with it are started again.
extends_documentation_fragment:
  - edgellm.host._attributes
options:
  section:
    description: Who wants these keys, for instance the name of a role. One section's keys are
      changed by it alone.
    type: str
    required: true
  config:
    description: All the keys this section wants. A key without a value (V(null)) counts as not
      wanted.
    type: dict
    required: true
  path:
    description: The engine's configuration file. Its directory is made if need be.
    type: path
    default: /etc/docker/daemon.json
  record:
    description:
      - File on the host that remembers what each section set; this module owns it. Its directory is
        made if need be.
      - When it is lost, keys that are in the file already count as set by somebody else.
    type: path
    default: /srv/edgellm/state/docker-daemon.json
  service:
    description: The systemd unit of the engine. It is never started when it does not run.
    type: str
    default: docker
  timeout:
    description: Seconds the engine may take until it answers after a restart.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - python >= 3.10
author:
  - edgellm.host contributors (@edgellm)
"""

EXAMPLES = r"""
- name: Limit the size of container logs
  edgellm.host.docker_daemon_config:
    section: logs
    config:
      log-driver: local
      log-opts:
        max-size: 10m

- name: Pull images of Docker Hub through a mirror on the LAN
  edgellm.host.docker_daemon_config:
    section: mirrors
    config:
      registry-mirrors: [http://192.0.2.1:5000]

- name: Give up the keys of a section
  edgellm.host.docker_daemon_config:
    section: mirrors
    config: {}
"""

RETURN = r"""
config:
  description: What the file holds now, or would hold; passwords in URLs are masked.
  returned: success
  type: dict
  sample: {log-driver: local, log-opts: {max-size: 10m}}
restarted:
  description: Whether the engine was restarted, or would be.
  returned: success
  type: bool
  sample: true
started_units:
  description: Units that the restart of the engine had stopped and that were started again.
  returned: success
  type: list
  elements: str
  sample: []
restored:
  description: Whether the previous file was put back because the engine did not come up with the
    new one.
  returned: failure, when the engine did not come up
  type: bool
  sample: true
journal:
  description: What the engine's journal says about it.
  returned: failure, when the engine did not come up
  type: str
  sample: "failed to start daemon: invalid log driver"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.module_utils.daemon_file import DaemonFile, configure
from ansible_collections.edgellm.host.plugins.module_utils.engine_service import EngineService
from ansible_collections.edgellm.host.plugins.module_utils.run import run


def work(module: AnsibleModule) -> dict[str, object]:
    params = module.params
    outcome = configure(
        DaemonFile(
            params["path"], params["record"], staging=module.tmpdir, move=module.atomic_move
        ),
        EngineService(params["service"], params["timeout"]),
        section=params["section"],
        wanted=params["config"],
        check_mode=module.check_mode,
    )
    for warning in outcome.warnings:
        module.warn(warning)
    return outcome.to_result()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "section": {"type": "str", "required": True},
            "config": {"type": "dict", "required": True},
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
            "record": {"type": "path", "default": "/srv/edgellm/state/docker-daemon.json"},
            "service": {"type": "str", "default": "docker"},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
