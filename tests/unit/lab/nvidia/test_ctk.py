# SPDX-License-Identifier: GPL-3.0-or-later
"""The nvidia-ctk stand-in: CDI specifications, their list, and Docker's configuration."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from lab.gpu import Gpu
from lab.nvidia.toolkit.ctk import main
from lab.nvidia.toolkit.spec import to_yaml

OUTPUT = "/var/run/cdi/nvidia.yaml"
UUIDS = [Gpu(0).uuid, Gpu(1).uuid]


def names(text: str) -> list[str]:
    return [device["name"] for device in yaml.safe_load(text)["devices"]]


def nodes(edits: dict[str, t.Any]) -> list[str]:
    return [node["path"] for node in edits["deviceNodes"]]


def test_the_specification_describes_every_gpu_by_index_and_uuid(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quiet", "cdi", "generate"]) == 0
    text, said = capsys.readouterr()
    assert said == ""
    spec = yaml.safe_load(text)
    assert (spec["cdiVersion"], spec["kind"]) == ("0.5.0", "nvidia.com/gpu")
    devices = {device["name"]: nodes(device["containerEdits"]) for device in spec["devices"]}
    assert devices == {
        "0": ["/dev/nvidia0"],
        "1": ["/dev/nvidia1"],
        UUIDS[0]: ["/dev/nvidia0"],
        UUIDS[1]: ["/dev/nvidia1"],
        "all": ["/dev/nvidia0", "/dev/nvidia1"],
    }
    edits = spec["containerEdits"]
    assert edits["env"] == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert nodes(edits) == ["/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"]
    paths = {mount["hostPath"]: mount["containerPath"] for mount in edits["mounts"]}
    assert paths == {p: p for p in ("/usr/bin/nvidia-smi", "/etc/edgellm-lab/gpus")}
    assert all("ro" in mount["options"] for mount in edits["mounts"])


def test_it_is_laid_out_as_the_real_program_does_it() -> None:
    node = {"path": "/dev/x", "major": 10, "minor": 229}
    edits = {"deviceNodes": [node]}
    spec = {
        "kind": "a/b",
        "devices": [{"name": "0", "containerEdits": edits}],
        "containerEdits": {},
    }
    spec["containerEdits"] = {"env": ["A=b"], "mounts": [{"hostPath": "/x", "options": ["ro"]}]}
    assert to_yaml(spec).splitlines() == [
        "---",
        "kind: a/b",
        "devices:",
        '    - name: "0"',
        "      containerEdits:",
        "        deviceNodes:",
        "            - path: /dev/x",
        "              major: 10",
        "              minor: 229",
        "containerEdits:",
        "    env:",
        "        - A=b",
        "    mounts:",
        "        - hostPath: /x",
        "          options:",
        "            - ro",
    ]


def test_the_numbers_of_real_nodes_are_written_down(machine: Path) -> None:
    node = machine / "dev/nvidia0"
    node.unlink()
    node.symlink_to("/dev/null")
    assert main(["cdi", "generate", "--output=/spec.json"]) == 0
    device = json.loads((machine / "spec.json").read_text())["devices"][0]
    assert device["containerEdits"]["deviceNodes"] == [
        {"path": "/dev/nvidia0", "major": 1, "minor": 3, "fileMode": 0o666, "permissions": "rwm"}
    ]


@pytest.mark.parametrize("by_variable", [False, True])
def test_the_file_named_holds_what_the_standard_output_would(
    machine: Path,
    by_variable: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["cdi", "generate"])
    text = capsys.readouterr().out
    if by_variable:
        monkeypatch.setenv("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", OUTPUT)
    assert main(["cdi", "generate", *([] if by_variable else [f"--output={OUTPUT}"])]) == 0
    written = machine / OUTPUT.lstrip("/")
    assert (written.read_text(), capsys.readouterr().out) == (text, "")
    assert written.stat().st_mode & 0o777 == 0o644


def test_another_way_to_name_devices(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["cdi", "generate", "--device-name-strategy=type-index", "--no-all-device"])
    assert names(capsys.readouterr().out) == ["gpu0", "gpu1"]


def test_a_gpu_that_was_taken_out_is_in_no_new_specification(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine / "dev/nvidia0").unlink()
    main(["cdi", "generate"])
    assert names(capsys.readouterr().out) == ["1", UUIDS[1], "all"]


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("dev/nvidiactl", "Driver Not Loaded"),
        ("usr/bin/nvidia-smi", "ERROR_LIBRARY_NOT_FOUND"),
        (None, "Driver/library version mismatch"),
    ],
)
def test_without_a_driver_nothing_is_written(
    machine: Path, missing: str | None, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if missing:
        (machine / missing).unlink()
    else:
        (machine / "etc/edgellm-lab/driver-mismatch").touch()
    assert main(["--quiet", "cdi", "generate", f"--output={OUTPUT}"]) == 1
    assert not (machine / OUTPUT.lstrip("/")).exists()
    said = capsys.readouterr().err
    assert "level=error" in said
    assert said.rstrip().endswith(f'failed to initialize NVML: {reason}"')


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--nonsense"], 1, "flag provided but not defined: -nonsense"),
        (["cdi", "generate", "--nonsense"], 1, "flag provided but not defined: -nonsense"),
        (["nonsense"], 3, "No help topic for 'nonsense'"),
        (["cdi", "nonsense"], 3, "No help topic for 'nonsense'"),
        (["cdi", "generate", "--format=xml"], 1, "invalid output format: xml"),
        (["cdi", "generate", "--mode=x"], 1, "invalid discovery mode: x"),
        (["cdi", "generate", "--device-name-strategy=x"], 1, "invalid device name strategy: x"),
        (["runtime", "configure", "--runtime=x"], 1, "unrecognized runtime 'x'"),
    ],
)
def test_what_the_real_program_refuses(
    machine: Path, arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert said in capsys.readouterr().err


def test_the_version_is_that_of_the_package(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = machine / "usr/lib/edgellm-lab/nvidia-container-toolkit.version"
    file.parent.mkdir(parents=True)
    file.write_text("1.20.0\n")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "NVIDIA Container Toolkit CLI version 1.20.0\n"


def test_devices_are_listed_but_for_those_that_two_files_of_a_folder_describe(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quiet", "cdi", "list"]) == 0
    assert capsys.readouterr() == ("", "")
    main(["cdi", "generate", f"--output={OUTPUT}"])
    folder = machine / "var/run/cdi"
    (folder / "broken.yaml").write_text("devices: [")
    (folder / "empty.json").write_text('{"kind": "nvidia.com/gpu"}')
    capsys.readouterr()
    assert main(["cdi", "list"]) == 0
    listed, said = capsys.readouterr()
    assert listed.splitlines() == [f"nvidia.com/gpu={name}" for name in ["0", "1", *UUIDS, "all"]]
    assert "broken.yaml: [failed to load CDI Spec" in said
    assert (
        "empty.json: [failed to load CDI Spec invalid CDI Spec: invalid spec, no devices]" in said
    )
    (folder / "stray.yaml").write_text((folder / "nvidia.yaml").read_text())
    assert main(["cdi", "list"]) == 0
    listed, said = capsys.readouterr()
    assert listed == ""
    assert 'conflicting device \\"nvidia.com/gpu=all\\"' in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"features": {"buildkit": True}}),
        (["--cdi.enabled"], {"features": {"cdi": True}}),
        (["--set-as-default"], {"default-runtime": "nvidia", "features": {"buildkit": True}}),
    ],
)
def test_the_runtime_is_added_to_what_docker_was_told(
    machine: Path,
    options: list[str],
    expected: dict[str, t.Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = machine / "etc/docker/daemon.json"
    file.parent.mkdir()
    file.write_text('{"runtimes": {"x": {"path": "y"}}, "features": {"buildkit": true}}')
    command = ["runtime", "configure", "--runtime=docker", *options]
    assert main([*command, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "nvidia" not in file.read_text()
    assert main(command) == 0
    assert shown == file.read_text() + "\n"
    ours = {"args": [], "path": "nvidia-container-runtime"}
    runtimes = {"x": {"path": "y"}, "nvidia": ours}
    assert json.loads(shown) == {"runtimes": runtimes, **expected}


def test_a_configuration_that_is_not_there_or_no_json(
    machine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["runtime", "configure", "--config=/daemon.json", "--dry-run"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {
        "runtimes": {"nvidia": {"args": [], "path": "nvidia-container-runtime"}}
    }
    for text in ("", '{"bro', "[]"):
        (machine / "daemon.json").write_text(text)
        assert main(command) == 1
        assert "unable to load config for runtime docker" in capsys.readouterr().err
