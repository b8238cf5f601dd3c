# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import facts
from ansible_collections.edgellm.host.plugins.module_utils.gpu.findings import RULES, findings

from tests.unit.fake_nvidia import data

PATH = "/var/run/cdi/nvidia.yaml"
WSL_KERNEL = "5.15.167.4-microsoft-standard-WSL2\n"


def found(nvidia):
    return {finding.code: finding for finding in findings(facts.read(str(nvidia.root)))}


@pytest.fixture
def healthy(nvidia):
    """A host where all is well."""
    nvidia.gpu_on_the_bus()
    nvidia.smi("gpus-rtx4060")
    nvidia.service()
    nvidia.write(PATH, nvidia.ctk())
    nvidia.packages(
        nvidia_container_toolkit="1.20.0-1",
        nvidia_container_toolkit_base="1.20.0-1",
        libnvidia_container_tools="1.20.0-1",
        libnvidia_container1="1.20.0-1",
    )
    return nvidia


def test_nothing_is_wrong_with_a_healthy_host(healthy):
    assert found(healthy) == {}


def test_nothing_is_wrong_with_a_host_without_a_gpu(nvidia):
    assert found(nvidia) == {}


def test_driver_and_toolkit_do_no_harm_where_there_is_no_gpu(nvidia):
    nvidia.smi("error-no-devices", status=6)
    nvidia.ctk(error=data("error-ctk.txt"))
    assert found(nvidia) == {}


def test_gpu_without_a_driver_is_found_on_the_bus(nvidia):
    nvidia.gpu_on_the_bus()
    assert list(found(nvidia)) == ["gpu_without_driver"]
    assert "ubuntu-drivers install" in found(nvidia)["gpu_without_driver"].remedy


@pytest.mark.parametrize(
    ("name", "status", "code", "remedy"),
    [
        ("mismatch", 18, "driver_library_mismatch", "sudo reboot"),
        ("not-loaded", 9, "driver_not_loaded", "sudo modprobe nvidia"),
        ("unknown", 255, "nvml_unknown_error", "sudo nvidia-modprobe"),
        ("permissions", 4, "no_permission", "become: true"),
        ("no-devices", 6, "no_devices", "sudo dmesg"),
        ("lost", 255, "smi_failed", "sudo dmesg"),
    ],
)
def test_failure_of_nvidia_smi_is_explained_and_hides_what_follows(
    healthy, name, status, code, remedy
):
    healthy.smi(f"error-{name}", status=status)
    healthy.ctk(error=data("error-ctk.txt"))
    assert list(found(healthy)) == [code]
    finding = found(healthy)[code]
    assert data(f"error-{name}.txt").splitlines()[0] in finding.explanation
    assert remedy in finding.remedy


def test_hanging_nvidia_smi_is_found(healthy):
    healthy.hanging_smi()

    def run(command, variables, seconds=0.2):
        return facts.programs.run(command, variables, 0.2)

    codes = [f.code for f in findings(facts.read(str(healthy.root), run))]
    assert codes == ["smi_timeout"]


def test_mismatch_names_the_driver_that_runs(healthy):
    healthy.smi("error-mismatch", status=18)
    healthy.write("/proc/driver/nvidia/version", data("proc-version-proprietary.txt"))
    explanation = found(healthy)["driver_library_mismatch"].explanation
    assert "The kernel runs driver 550.163.01." in explanation
    assert "NVML library version: 550.144" in explanation


@pytest.mark.parametrize(("name", "status"), [("mismatch", 18), ("not-loaded", 9)])
def test_remedy_in_wsl_is_in_windows(healthy, name, status):
    healthy.write("/proc/sys/kernel/osrelease", WSL_KERNEL)
    healthy.smi(f"error-{name}", status=status)
    (finding,) = found(healthy).values()
    assert "wsl --shutdown" in finding.remedy
    assert "sudo" not in finding.remedy


def test_missing_specification_is_found(healthy):
    healthy.place(PATH).unlink()
    assert list(found(healthy)) == ["cdi_missing"]
    assert found(healthy)["cdi_missing"].remedy == (
        "sudo systemctl restart nvidia-cdi-refresh.service"
    )


def test_stale_specification_is_found_with_its_reasons(healthy):
    healthy.write(PATH, data("cdi-ordered.txt").replace("major: 510", "major: 511"))
    assert list(found(healthy)) == ["cdi_stale"]
    assert "/dev/nvidia-uvm has major number 511" in found(healthy)["cdi_stale"].explanation


def test_remedy_without_the_service_is_the_program(healthy):
    healthy.place("/usr/lib/systemd/system/nvidia-cdi-refresh.service").unlink()
    healthy.place(PATH).unlink()
    assert found(healthy)["cdi_missing"].remedy == (
        "sudo nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml"
    )


def test_stray_specification_is_found(healthy):
    healthy.write("/etc/cdi/my nvidia.yaml", data("cdi-sorted.txt"))
    assert list(found(healthy)) == ["cdi_stray"]
    assert found(healthy)["cdi_stray"].remedy == (
        "sudo mv '/etc/cdi/my nvidia.yaml' '/etc/cdi/my nvidia.yaml.disabled'"
    )


def test_toolkit_that_fails_beside_a_working_driver_is_found(healthy):
    healthy.ctk(error=data("error-ctk.txt"))
    assert list(found(healthy)) == ["cdi_failed"]
    assert "ERROR_LIBRARY_NOT_FOUND" in found(healthy)["cdi_failed"].explanation


def test_toolkit_that_is_not_installed_is_no_problem_of_the_gpu(nvidia):
    nvidia.gpu_on_the_bus()
    nvidia.smi("gpus-rtx4060")
    nvidia.write("/etc/cdi/nvidia.yaml", data("cdi-sorted.txt"))
    assert found(nvidia) == {}


def test_packages_of_several_versions_are_found(healthy):
    healthy.packages(nvidia_container_toolkit="1.19.1-1", libnvidia_container1="1.20.0-1")
    assert list(found(healthy)) == ["toolkit_versions_differ"]
    assert found(healthy)["toolkit_versions_differ"].remedy.endswith(
        "nvidia-container-toolkit=1.19.1-1 libnvidia-container1=1.19.1-1"
    )


def test_every_finding_has_the_name_of_its_rule(healthy):
    healthy.write("/etc/cdi/nvidia.yaml", data("cdi-sorted.txt"))
    healthy.write(PATH, "old")
    read = facts.read(str(healthy.root))
    told = [(rule.__name__, finding.code) for rule in RULES if (finding := rule(read))]
    assert told == [("cdi_stale", "cdi_stale"), ("cdi_stray", "cdi_stray")]
