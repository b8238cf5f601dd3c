# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgellm.host.plugins.modules import nvidia_cdi

from tests.unit.fake_nvidia import FakeNvidia, data

PATH = "/var/run/cdi/nvidia.yaml"
STRAY = "/etc/cdi/nvidia.yaml"
FRESH = data("cdi-ordered.txt")
STALE = FRESH.replace("550.163.01", "535.216.01")
UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"


@pytest.fixture
def nvidia(tmp_path, monkeypatch):
    """A host whose toolkit is installed, and whose module works in the directory of the test."""
    nvidia = FakeNvidia(tmp_path)
    nvidia.ctk()
    monkeypatch.setattr(nvidia_cdi, "ROOT", str(nvidia.root))
    return nvidia


@pytest.fixture
def warnings(monkeypatch):
    said = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _module, text: said.append(text))
    return said


@pytest.fixture
def run(run_module):
    def run(**params):
        return run_module("nvidia_cdi", **params)

    return run


def writing(nvidia):
    """What was called that is no mere reading."""
    return [call for call in nvidia.calls if "systemctl" in call or "--output" in call]


def test_missing_file_is_written_by_the_service(nvidia, run, warnings):
    nvidia.service()
    result = run()
    assert result["changed"]
    assert result["reasons"] == [f"{PATH} is missing"]
    assert result["path"] == PATH
    assert result["devices"] == ["0", UUID, "all"]
    assert nvidia.files() == {PATH: FRESH}
    assert writing(nvidia) == [
        "systemctl reset-failed nvidia-cdi-refresh.service",
        "systemctl restart nvidia-cdi-refresh.service",
    ]
    assert warnings == []


def test_second_run_changes_nothing(nvidia, run):
    nvidia.service()
    run()
    before = writing(nvidia)
    result = run()
    assert not result["changed"]
    assert (result["reasons"], result["moved"], result["diff"]) == ([], {}, [])
    assert result["devices"] == ["0", UUID, "all"]
    assert writing(nvidia) == before


def test_toolkit_without_the_service_is_run_itself(nvidia, run):
    assert run()["changed"]
    assert nvidia.files() == {PATH: FRESH}
    assert writing(nvidia) == [
        f"nvidia-ctk --quiet cdi generate --format=yaml --output={nvidia.place(PATH)}"
    ]


def test_service_that_writes_nothing_is_replaced_and_told(nvidia, run, warnings):
    nvidia.service(works=False)
    run()
    assert nvidia.files() == {PATH: FRESH}
    (warning,) = warnings
    assert "journalctl -u nvidia-cdi-refresh.service" in warning


def test_stale_file_is_renewed_and_the_diff_shows_it(nvidia, run):
    nvidia.service()
    nvidia.write(PATH, STALE)
    result = run()
    assert result["reasons"] == [f"{PATH} was made for driver 535.216.01, now it is 550.163.01"]
    assert nvidia.files() == {PATH: FRESH}
    (diff,) = result["diff"]
    assert diff == {
        "before_header": PATH,
        "after_header": PATH,
        "before": STALE,
        "after": FRESH,
    }


def test_stray_is_renamed_and_what_was_renamed_before_stays(nvidia, run):
    nvidia.write(PATH, FRESH)
    nvidia.write(STRAY, STALE)
    nvidia.write(f"{STRAY}.disabled", "older")
    nvidia.write("/etc/cdi/intel.yaml", "kind: intel.com/gpu\n")
    result = run()
    assert result["changed"]
    assert result["moved"] == {STRAY: f"{STRAY}.disabled.2"}
    assert result["diff"] == [{"prepared": f"{STRAY} -> {STRAY}.disabled.2\n"}]
    assert nvidia.files() == {
        PATH: FRESH,
        f"{STRAY}.disabled": "older",
        f"{STRAY}.disabled.2": STALE,
        "/etc/cdi/intel.yaml": "kind: intel.com/gpu\n",
    }
    assert writing(nvidia) == []
    assert not run()["changed"]


def test_check_mode_predicts_and_touches_nothing(nvidia, run):
    nvidia.service()
    nvidia.write(PATH, STALE)
    nvidia.write(STRAY, STALE)
    before = nvidia.files()
    predicted = run(check_mode=True)
    assert nvidia.files() == before
    assert writing(nvidia) == []
    assert run() == predicted
    assert nvidia.files() == {PATH: FRESH, f"{STRAY}.disabled": STALE}


def test_check_mode_foresees_a_toolkit_that_is_not_installed_yet(nvidia, run):
    nvidia.place("/usr/bin/nvidia-ctk").unlink()
    result = run(check_mode=True)
    assert result["changed"]
    assert result["reasons"] == ["nvidia-ctk is not installed yet"]
    assert result["devices"] == []


def test_toolkit_that_is_not_installed_is_refused(nvidia, run):
    nvidia.place("/usr/bin/nvidia-ctk").unlink()
    nvidia.write(STRAY, STALE)
    assert "nvidia-container-toolkit-base" in run(fails=True)["msg"]
    assert nvidia.files() == {STRAY: STALE}


def test_failure_of_the_toolkit_is_told_before_anything_is_changed(nvidia, run):
    nvidia.ctk(error=data("error-ctk.txt"))
    nvidia.write(STRAY, STALE)
    assert "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND" in run(fails=True)["msg"]
    assert nvidia.files() == {STRAY: STALE}


def test_file_that_is_still_not_right_is_a_failure(nvidia, run):
    # Whatever is written, the file is another one afterwards.
    program = nvidia.place("/usr/bin/nvidia-ctk")
    program.write_text(program.read_text() + 'echo "# more" >>"$output"\n')
    result = run(fails=True)
    assert "still not right: " in result["msg"]
    assert result["reasons"] == [f"{PATH} differs from what nvidia-ctk writes now"]
    assert result["path"] == PATH


def test_file_that_cannot_be_written_is_a_failure(nvidia, run):
    program = nvidia.place("/usr/bin/nvidia-ctk")
    text = program.read_text().replace("mkdir -p", "echo no space left >&2; exit 1; mkdir -p")
    program.write_text(text)
    nvidia.write(STRAY, STALE)
    assert run(fails=True)["msg"] == (
        f"{PATH} could not be written. nvidia-ctk: no space left (exit status 1)"
    )
    # What containers may live on was not taken away.
    assert nvidia.files() == {STRAY: STALE}


def test_stray_that_cannot_be_renamed_is_a_failure(nvidia, run, monkeypatch):
    nvidia.write(STRAY, STALE)

    def refuse(_self, _target):
        raise PermissionError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.rename", refuse)
    assert run(fails=True)["msg"].startswith(f"{STRAY} describes the same GPUs and cannot be")


def test_file_is_the_one_of_the_services_settings(nvidia, run):
    nvidia.service("/etc/cdi/gpus.yaml")
    nvidia.write(
        "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env",
        "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/etc/cdi/gpus.yaml\n",
    )
    nvidia.write(PATH, STALE)
    result = run()
    assert result["path"] == "/etc/cdi/gpus.yaml"
    assert result["moved"] == {PATH: f"{PATH}.disabled"}
    assert nvidia.files() == {"/etc/cdi/gpus.yaml": FRESH, f"{PATH}.disabled": STALE}


@pytest.mark.parametrize("check_mode", [True, False])
def test_path_beside_the_services_own_is_refused(nvidia, run, check_mode):
    nvidia.service()
    message = run(path=STRAY, fails=True, check_mode=check_mode)["msg"]
    assert f"path is {STRAY}" in message
    assert f"NVIDIA_CTK_CDI_OUTPUT_FILE_PATH={STRAY}" in message
    assert nvidia.files() == {}


def test_path_of_ones_own_is_written_where_there_is_no_service(nvidia, run):
    nvidia.ctk(data("cdi-json.txt"))
    assert run(path="/etc/cdi/gpus.json")["changed"]
    assert nvidia.files() == {"/etc/cdi/gpus.json": data("cdi-json.txt")}
    assert not run(path="/etc/cdi/gpus.json")["changed"]


def test_name_that_no_engine_reads_is_refused(nvidia, run):
    assert "must end in .yaml or .json" in run(path="/etc/cdi/gpus.yml", fails=True)["msg"]


def test_other_directories_of_the_engine_are_searched(nvidia, run):
    nvidia.write(PATH, FRESH)
    nvidia.write("/opt/cdi/nvidia.yaml", STALE)
    assert not run()["changed"]
    assert run(spec_dirs=["/opt/cdi"])["moved"] == {
        "/opt/cdi/nvidia.yaml": "/opt/cdi/nvidia.yaml.disabled"
    }
