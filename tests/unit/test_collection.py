# SPDX-License-Identifier: GPL-3.0-or-later
"""Ratchets over the whole collection: what must hold for every module, role and playbook."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(f.stem for f in (ROOT / "plugins" / "modules").glob("*.py"))
PLAIN_PLUGINS = sorted(
    f.relative_to(ROOT / "plugins")
    for kind in ("action", "filter", "lookup")
    for f in (ROOT / "plugins" / kind).glob("*.py")
    if not f.name.startswith("_")
)
ROLES = sorted(d.name for d in (ROOT / "roles").glob("*/"))
PLAYBOOKS = sorted(f.stem for f in (ROOT / "playbooks").glob("*.yml"))


def load(path: Path) -> object:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Whatever the developer configured for himself must not decide.
    env = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    return subprocess.run(
        command, cwd=cwd, env=env, check=False, capture_output=True, text=True, timeout=110
    )


@pytest.fixture(scope="session")
def module_docs():
    done = run("ansible-doc", "--json", *(f"edgellm.host.{name}" for name in MODULES))
    assert done.returncode == 0, done.stderr
    return {name.rpartition(".")[2]: doc for name, doc in json.loads(done.stdout).items()}


@pytest.fixture(scope="session")
def action_groups():
    return load(ROOT / "meta" / "runtime.yml")["action_groups"]


# --- modules and plugins -------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_module_is_documented(name, module_docs):
    doc = module_docs[name]["doc"]
    assert doc["short_description"]
    assert module_docs[name]["examples"]
    assert module_docs[name]["return"]
    assert {"check_mode", "diff_mode", "idempotent"} <= set(doc["attributes"])


@pytest.mark.parametrize("name", MODULES)
def test_module_has_unit_tests(name):
    places = [f"tests/unit/plugins/modules/test_{name}.py"]
    if (ROOT / "plugins" / "action" / f"{name}.py").exists():
        # The module file only documents the action plugin.
        places.append(f"tests/unit/plugins/action/test_{name}.py")
    assert any((ROOT / place).exists() for place in places), f"none of {places} exists"


@pytest.mark.parametrize("plugin", PLAIN_PLUGINS, ids=str)
def test_plugin_has_unit_tests(plugin):
    assert (ROOT / "tests/unit/plugins" / plugin.parent / f"test_{plugin.name}").exists()


def test_every_module_is_in_exactly_one_action_group(action_groups):
    assert sorted(name for group in action_groups.values() for name in group) == MODULES


def test_group_ollama_is_what_takes_its_connection_options(action_groups, module_docs):
    # module_defaults of a group reach all its modules; one that lacks the option would fail.
    # An address of something else has no default.
    options = {name: module_docs[name]["doc"].get("options", {}) for name in MODULES}
    connecting = [name for name in MODULES if options[name].get("url", {}).get("default")]
    assert sorted(action_groups["ollama"]) == connecting


# --- roles and playbooks -------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_role_defaults_equal_its_argument_specs(role):
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    options = specs["main"].get("options", {})
    optional = {name for name, option in options.items() if not option.get("required")}
    assert optional == set(defaults)


@pytest.mark.parametrize("role", ROLES)
def test_role_variables_carry_its_name(role):
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    assert [name for name in defaults if not name.startswith(f"{role}_")] == []


def mappings(node):
    """Every mapping of a YAML document, wherever it stands."""
    if isinstance(node, dict):
        yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from mappings(child)


FORBIDDEN = {
    "changed_when": lambda value: value == "true",
    "ignore_errors": lambda value: value != "false",
    "shell": lambda _value: True,
    "ansible.builtin.shell": lambda _value: True,
    "raw": lambda _value: True,
    "ansible.builtin.raw": lambda _value: True,
}


def forbidden_in(text: str) -> list[str]:
    # BaseLoader: scalars as written, so that no tag of Ansible's stops the reading.
    documents = yaml.load_all(text, Loader=yaml.BaseLoader)
    return [
        key
        for document in documents
        for mapping in mappings(document)
        for key, value in mapping.items()
        if key in FORBIDDEN and FORBIDDEN[key](value)
    ]


def task_files() -> list[Path]:
    folders = ("playbooks", "roles/*/tasks", "roles/*/handlers")
    return sorted(f for folder in folders for f in ROOT.glob(f"{folder}/**/*.yml"))


def test_forbidden_constructs_are_recognised():
    tasks = """
    - block:
        - ansible.builtin.shell: ls
          changed_when: true
      rescue:
        - ansible.builtin.command: ls
          changed_when: false
          ignore_errors: "{{ ansible_check_mode }}"
    """
    assert forbidden_in(tasks) == ["ansible.builtin.shell", "changed_when", "ignore_errors"]


@pytest.mark.parametrize("path", task_files(), ids=lambda f: str(f.relative_to(ROOT)))
def test_tasks_hide_nothing(path):
    assert forbidden_in(path.read_text(encoding="utf-8")) == []


def test_playbooks_run_by_collection_name_and_by_path():
    names = [f"edgellm.host.{name}" for name in PLAYBOOKS]
    check = ("ansible-playbook", "--syntax-check", "--inventory", "inventory/lab.yml")
    done = run(*check, *names, "site.yml")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_a_clone_works_wherever_it_lies(tmp_path):
    clone = tmp_path / "some where" / "else"
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name, follow_symlinks=False)
    done = run("ansible-playbook", "--syntax-check", "site.yml", "edgellm.host.site", cwd=clone)
    assert done.returncode == 0, done.stderr
    done = run("ansible-doc", "--json", "edgellm.host.ollama_model", cwd=clone)
    assert done.returncode == 0, done.stderr
    (doc,) = json.loads(done.stdout).values()
    assert Path(doc["doc"]["filename"]).is_relative_to(clone)


# --- what is shipped, what is committed ----------------------------------------------------------

PRODUCT = {
    "CHANGELOG.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.ja.md",
    "README.md",
    "SECURITY.md",
    "docs",
    "meta",
    "models",
    "playbooks",
    "plugins",
    "requirements.yml",
    "roles",
}


@pytest.fixture(scope="session")
def tarball(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tarball")
    done = run("ansible-galaxy", "collection", "build", "--output-path", str(folder))
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("edgellm-host-*.tar.gz")
    return path


def test_tarball_holds_the_product_and_nothing_else(tarball):
    with tarfile.open(tarball) as archive:
        members = archive.getmembers()
    names = [m.name for m in members]
    assert {name.split("/")[0] for name in names} <= PRODUCT
    assert [m.name for m in members if not (m.isfile() or m.isdir())] == []
    assert [n for n in names if re.search(r"(^|/)(\.|__pycache__)|\.(gguf|part|pyc)$", n)] == []
    for name in MODULES:
        assert f"plugins/modules/{name}.py" in names
    for name in PLAYBOOKS:
        assert f"playbooks/{name}.yml" in names


def test_installed_tarball_runs_its_playbooks(tarball, tmp_path):
    install = ("ansible-galaxy", "collection", "install", "--no-deps", str(tarball))
    done = run(*install, "-p", str(tmp_path / "collections"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncollections_path = collections\n")
    done = run("ansible-playbook", "--syntax-check", "edgellm.host.site", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def ignored(tmp_path_factory):
    """Whether git would leave a path out; asked in an empty repository with our .gitignore."""
    folder = tmp_path_factory.mktemp("gitignore")
    shutil.copy(ROOT / ".gitignore", folder)
    run("git", "init", "--quiet", cwd=folder)

    def ask(path: str) -> bool:
        return run("git", "check-ignore", "--quiet", path, cwd=folder).returncode == 0

    return ask


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".venv/bin/python",
        ".vault_pass",
        "build/demo/report.txt",
        "collections/ansible_collections/community/docker/galaxy.yml",
        "inventory/.env",
        "inventory/vault-password.txt",
        "models/elyza-jp-8b/Llama-3-ELYZA-JP-8B-q4_k_m.gguf",
        "models/elyza-jp-8b/weights.gguf.part",
        "vault_pass.txt",
    ],
)
def test_git_leaves_out_weights_secrets_and_products(path, ignored):
    assert ignored(path)


@pytest.mark.parametrize(
    "path",
    [
        "collections/ansible_collections/edgellm/host",
        "inventory/group_vars/llm_hosts/vault.yml",
        "models/elyza-jp-8b/Modelfile",
        "models/models.lock.yml",
        "roles/ollama_server/templates/env.j2",
    ],
)
def test_git_keeps_what_belongs_to_the_project(path, ignored):
    assert not ignored(path)


# --- what is written down twice ------------------------------------------------------------------


def named_in_tables(readme: str) -> set[str]:
    """What stands in backticks in the first column of a table."""
    cells = re.findall(r"^\|([^|]*)\|", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE)
    return {
        name for cell in cells for name in re.findall(r"`(?:playbooks/)?(\w+)(?:\.yml)?`", cell)
    }


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_readme_tables_are_complete(readme):
    assert {*ROLES, *MODULES, *PLAYBOOKS} - named_in_tables(readme) == set()


def test_galaxy_and_requirements_name_the_same_collections():
    listed = load(ROOT / "requirements.yml")["collections"]
    assert {c["name"]: c["version"] for c in listed} == load(ROOT / "galaxy.yml")["dependencies"]


def pins(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    return set(re.findall(r"^[a-z0-9_.-]+==[^ ;\\]+", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["controller", "lab"])
def test_dev_lock_holds_the_others_at_the_same_versions(name):
    assert pins(name) - pins("dev") == set()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda f: f.name
)
def test_lock_names_no_address(path):
    # Where packages come from is the user's setting (a mirror, a proxy), never the project's.
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|^\s*--(index|extra|find)", text, re.MULTILINE)


def test_makefile_targets_are_short():
    recipes = re.findall(
        r"^[a-z-]+:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipes
    assert max(recipe.count("\n") for recipe in recipes) <= 3
