# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import functools

import pytest
from ansible_collections.edgellm.host.plugins.module_utils.gpu import cdi, programs

from tests.unit.fake_nvidia import data

PATH = "/var/run/cdi/nvidia.yaml"
UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"


def read(nvidia, path=None, **more):
    return cdi.read(path, root=str(nvidia.root), **more)


def codes(spec):
    return [problem.code for problem in spec.problems]


def test_file_that_fits_is_right(nvidia):
    nvidia.write(PATH, nvidia.ctk())
    spec = read(nvidia)
    assert (spec.path, spec.problems, spec.strays) == (PATH, (), ())
    assert spec.present == spec.fresh == data("cdi-ordered.txt")
    assert spec.devices == ("0", UUID, "all")
    assert spec.program == str(nvidia.place("/usr/bin/nvidia-ctk"))


def test_host_without_anything_is_told(nvidia):
    spec = read(nvidia)
    assert (spec.program, spec.fresh, spec.present, spec.devices) == (None, None, None, ())
    assert spec.reasons == ["nvidia-ctk is not installed", f"{PATH} is missing"]


def test_missing_file_is_told(nvidia):
    fresh = nvidia.ctk()
    spec = read(nvidia)
    assert (spec.fresh, spec.present) == (fresh, None)
    assert codes(spec) == [cdi.MISSING]
    assert spec.reasons == [f"{PATH} is missing"]


def test_stale_file_is_told_with_its_name(nvidia):
    nvidia.write(PATH, nvidia.ctk().replace("550.163.01", "535.216.01").replace(UUID, "GPU-x"))
    spec = read(nvidia)
    assert codes(spec) == [cdi.STALE] * 3
    assert spec.reasons == [
        f"{PATH} lists GPU-x, which is not there",
        f"{PATH} lacks {UUID}",
        f"{PATH} was made for driver 535.216.01, now it is 550.163.01",
    ]
    assert spec.devices == ("0", "GPU-x", "all")


def test_failure_is_told_in_the_words_of_nvidia_ctk(nvidia):
    nvidia.ctk(error=data("error-ctk.txt"))
    nvidia.write(PATH, "old")
    spec = read(nvidia)
    assert (spec.fresh, spec.present) == (None, "old")
    assert codes(spec) == [cdi.FAILED]
    assert spec.reasons[0].startswith("nvidia-ctk: failed to generate CDI spec: failed to create")
    assert spec.reasons[0].endswith(
        "failed to initialize NVML: ERROR_LIBRARY_NOT_FOUND (exit status 1)"
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (programs.Answer(None), "nvidia-ctk did not answer in time"),
        (
            programs.Answer(1, err='level=error msg="a \\"quoted\\" word"\n'),
            'nvidia-ctk: a "quoted" word (exit status 1)',
        ),
        (programs.Answer(2, err="first\nlast\n"), "nvidia-ctk: last (exit status 2)"),
        (programs.Answer(0, out="\n"), "nvidia-ctk: no message (exit status 0)"),
    ],
)
def test_every_kind_of_failure_is_one_sentence(answer, told):
    assert cdi.failure_of(answer) == told


def test_nvidia_ctk_that_hangs_is_given_up(nvidia):
    nvidia.ctk()
    nvidia.place("/usr/bin/nvidia-ctk").write_text("#!/bin/sh\nexec sleep 60\n")
    spec = read(nvidia, run=functools.partial(programs.run, seconds=0.2))
    assert spec.reasons[0] == "nvidia-ctk did not answer in time"


def test_settings_of_the_service_are_used_but_nothing_is_written(nvidia):
    nvidia.ctk()
    target = nvidia.place("/elsewhere.yaml")
    nvidia.write(
        cdi.SETTINGS,
        "# NVIDIA_CTK_CDI_GENERATE_CLASS=no\n"
        f"NVIDIA_CTK_CDI_OUTPUT_FILE_PATH={target}\n"
        "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=uuid\n"
        "NVIDIA_CTK_DEV_ROOT = '/with space'\n",
    )
    read(nvidia)
    assert nvidia.variables == [
        "NVIDIA_CTK_CDI_GENERATE_DEVICE_NAME_STRATEGIES=uuid",
        "NVIDIA_CTK_DEV_ROOT=/with space",
    ]
    assert nvidia.calls == ["nvidia-ctk --quiet cdi generate --format=yaml"]
    assert not target.exists()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("", PATH),
        ("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=\n", PATH),
        ("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/etc/cdi/gpus.json\n", "/etc/cdi/gpus.json"),
        ("NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/etc/cdi/gpus\n", "/etc/cdi/gpus.yaml"),
        (
            """
            NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=/etc/cdi/gpus
            NVIDIA_CTK_CDI_GENERATE_OUTPUT_FORMAT=JSON
            """,
            "/etc/cdi/gpus.json",
        ),
    ],
)
def test_file_is_the_one_that_the_service_writes(nvidia, settings, path):
    nvidia.write(cdi.SETTINGS, settings)
    assert read(nvidia).path == path


def test_file_in_json_is_compared_with_json(nvidia):
    nvidia.write("/etc/cdi/gpus.json", nvidia.ctk(data("cdi-json.txt")))
    assert read(nvidia, "/etc/cdi/gpus.json").problems == ()
    assert nvidia.calls == ["nvidia-ctk --quiet cdi generate --format=json"]


def test_only_the_first_of_several_specifications_belongs_into_the_file(nvidia):
    fresh = data("cdi-ordered.txt")
    nvidia.ctk(fresh + fresh.replace("nvidia.com/gpu", "nvidia.com/gpu.noncoherent"))
    nvidia.write(PATH, fresh)
    nvidia.write("/var/run/cdi/nvidia.noncoherent.yaml", "kind: nvidia.com/gpu.noncoherent\n")
    assert read(nvidia).problems == ()


def test_files_about_the_same_gpus_are_strays(nvidia):
    nvidia.write(PATH, nvidia.ctk())
    for name, text in {
        "/etc/cdi/nvidia.yaml": data("cdi-sorted.txt"),
        "/etc/cdi/nvidia.json": data("cdi-json.txt"),
        "/etc/cdi/by-hand.yaml": "# mine\nkind: 'nvidia.com/gpu'\ndevices: [{name: all}]\n",
        "/etc/cdi/intel.yaml": "kind: intel.com/gpu\n",
        "/etc/cdi/imex.yaml": "kind: nvidia.com/imex-channel\n",
        "/etc/cdi/nvidia.yaml.disabled": data("cdi-sorted.txt"),
        "/etc/cdi/spec.123.tmp": data("cdi-sorted.txt"),
        "/etc/cdi/folder.yaml/nvidia.yaml": data("cdi-sorted.txt"),
    }.items():
        nvidia.write(name, text)
    spec = read(nvidia)
    assert spec.strays == ("/etc/cdi/by-hand.yaml", "/etc/cdi/nvidia.json", "/etc/cdi/nvidia.yaml")
    assert codes(spec) == [cdi.STRAY] * 3
    assert spec.reasons[0] == "/etc/cdi/by-hand.yaml describes the same GPUs"


def test_second_name_of_the_file_is_no_stray(nvidia):
    file = nvidia.write(PATH, nvidia.ctk())
    nvidia.place("/etc/cdi").mkdir(parents=True)
    nvidia.place("/etc/cdi/nvidia.yaml").symlink_to(file)
    nvidia.place("/etc/cdi/gone.yaml").symlink_to("/nowhere.yaml")
    nvidia.place("/run").mkdir()
    nvidia.place("/run/cdi").symlink_to(file.parent)
    assert read(nvidia, spec_dirs=("/etc/cdi", "/var/run/cdi", "/run/cdi")).problems == ()


@pytest.mark.parametrize(
    ("has_service", "path", "serviced"),
    [(False, PATH, False), (True, PATH, True), (True, "/etc/cdi/nvidia.yaml", False)],
)
def test_it_is_known_who_writes_the_file(nvidia, has_service, path, serviced):
    if has_service:
        nvidia.service()
    assert read(nvidia, path).serviced is serviced


def test_masked_service_writes_nothing(nvidia):
    nvidia.service()
    unit = nvidia.place("/etc/systemd/system/nvidia-cdi-refresh.service")
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert not read(nvidia).serviced
