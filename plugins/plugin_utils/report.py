# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was done, or would be, as a page for people. Pure. Private."""

from __future__ import annotations

import typing as t

from . import text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WIDTH = 100
_INDENT = "  "

Host = t.Mapping[str, t.Any]


def condense(host: Host) -> dict[str, t.Any]:
    """A report as it is written down, from what the modules returned for one host.

    Probes join their models, and the disk after the plan is reckoned from its steps.
    """
    probes = {probe.get("digest"): probe for probe in host.get("probes") or [] if probe}
    models = [
        {**model, **_measured(probes.get(model.get("digest"), {}))}
        for model in host.get("models") or []
        if model
    ]
    report = {key: value for key, value in host.items() if key != "probes"}
    report["models"] = models
    report["gpu"] = host.get("gpu") or _gpu(models, host.get("devices") or 0)
    disk = dict(host.get("disk") or {})
    if disk:
        disk.setdefault("path", disk.get("mount_point", "/"))
        report["disk"] = disk
    steps = host.get("plan") or []
    if "free_bytes" in disk and steps and "plan_disk" not in host:
        needed = sum(step.get("disk_bytes") or step.get("bytes") or 0 for step in steps)
        report["plan_disk"] = {
            "before_bytes": disk["free_bytes"],
            "after_bytes": disk["free_bytes"] - needed,
        }
    return report


def _measured(probe: Host) -> dict[str, t.Any]:
    # A probe's own size is that in memory; the model's is that on disk.
    kept = ("kind", "tokens_per_second", "processor", "dimensions", "measured_at", "recorded")
    found = {key: probe[key] for key in kept if key in probe}
    return {**found, "answer": probe["text"]} if probe.get("text") else found


def _gpu(models: Sequence[Host], devices: int) -> str:
    measured = [str(model["processor"]) for model in models if model.get("processor")]
    if any("GPU" in processor for processor in measured):
        return "GPU"
    if not devices:
        return "CPU"
    unused = _count(devices, "NVIDIA GPU")
    return f"CPU, {unused} unused" if measured else unused


def render(mode: str, hosts: Mapping[str, Host]) -> str:
    """The page for this mode, V(run), V(plan) or V(verify), over condensed reports."""
    page, total = _PAGES[mode]
    blocks = [page(name, host) for name, host in hosts.items()]
    if len(hosts) > 1:
        blocks.append([total(hosts)])
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _run(name: str, host: Host) -> list[str]:
    models: Sequence[Host] = host.get("models") or []
    facts = [str(host.get("endpoint") or "no endpoint")]
    if "server_version" in host:
        version = host["server_version"]
        facts.append(f"Ollama {version}" if version else "Ollama does not answer")
    facts.append(str(host.get("gpu") or "CPU"))
    lines = [f"{name}: {', '.join(facts)}", *_disk(host)]
    if not models:
        return [*lines, f"{_INDENT}no models", *_notes(host)]
    rows = [_model_row(model) for model in models]
    header = ("Model", "Digest", "Size", "Speed", "Runs on", "Kind")
    lines += _indent(text.table(header, rows, right="Size Speed"))
    for model in models:
        if model.get("answer"):
            lines.append("")
            lines += _indent([f"{model['name']} answered{_when(model)}:"])
            answer = text.wrap(str(model["answer"]).strip(), WIDTH - 2 * len(_INDENT))
            lines += _indent(_indent(answer))
    answered = any(model.get("answer") for model in models)
    return [*lines, *([""] if answered and host.get("notes") else []), *_notes(host)]


def _notes(host: Host) -> list[str]:
    said = [text.wrap(f"Note: {note}", WIDTH - len(_INDENT)) for note in host.get("notes") or []]
    return _indent([line for lines in said for line in lines])


def _model_row(model: Host) -> tuple[str, ...]:
    digest = str(model.get("digest") or "-").removeprefix("sha256:")
    return (
        text.printable(str(model.get("name") or "-")),
        digest[:12],
        text.size(model["size"]) if model.get("size") is not None else "-",
        _speed(model),
        str(model.get("processor") or "-"),
        str(model.get("kind") or "-") + ("" if model.get("answer") else _when(model)),
    )


def _speed(model: Host) -> str:
    if model.get("tokens_per_second"):
        return f"{model['tokens_per_second']:.1f} tokens/s"
    if model.get("dimensions"):
        return f"{model['dimensions']} dimensions"
    return "-"


def _when(model: Host) -> str:
    if not model.get("recorded"):
        return ""
    date = str(model.get("measured_at") or "").partition("T")[0]
    return f" (recorded {date})" if date else " (recorded)"


def _disk(host: Host) -> list[str]:
    disk = host.get("disk")
    if not disk:
        return []
    free, total = text.size(disk.get("free_bytes")), text.size(disk.get("total_bytes"))
    return _indent([f"{free} of {total} free in {disk['path']}"])


def _plan(name: str, host: Host) -> list[str]:
    steps: Sequence[Host] = host.get("plan") or []
    if not steps:
        return [f"{name}: nothing to do", *_notes(host)]
    rows = [
        (
            text.printable(str(step.get("what") or "-")),
            size,
            text.printable(str(step.get("detail") or "")),
        )
        for step, size in ((step, _bytes_of(step)) for step in steps)
    ]
    lines = [f"{name}: {_count(len(steps), 'step')}, {_to_fetch(steps)}"]
    lines += _indent(_folded(text.table(("What", "Fetch", "Detail"), rows, right="Fetch")))
    return [*lines, *_disk_change(host), *_notes(host)]


def _bytes_of(step: Host) -> str:
    count = step.get("bytes")
    return text.size(count) if count is None or count else "-"


def _folded(lines: Sequence[str]) -> list[str]:
    """Table lines whose last column goes on below itself where it is too long."""
    start = text.width(lines[0]) - len("Detail")
    folded: list[str] = []
    for line in lines:
        cut = _cut_at(line, start)
        rest = text.wrap(line[cut:], WIDTH - len(_INDENT) - start)
        folded.append((line[:cut] + rest[0]).rstrip())
        folded += [" " * start + more for more in rest[1:]]
    return folded


def _cut_at(line: str, columns: int) -> int:
    """The index of the character at this column."""
    return next(
        (i for i in range(len(line)) if text.width(line[:i]) >= columns),
        len(line),
    )


def _disk_change(host: Host) -> list[str]:
    disk = host.get("plan_disk")
    if not disk:
        return []
    before, after = disk.get("before_bytes"), disk.get("after_bytes")
    where = f" in {host['disk']['path']}" if host.get("disk") else ""
    unknown = any(step.get("bytes") is None for step in host.get("plan") or [])
    then = f"{'at most ' if unknown else ''}{text.size(after)} afterwards"
    line = f"Free disk{where}: {text.size(before)} now, {then}"
    if after is not None and after < 0:
        line = f"Not enough disk{where}: {text.size(before)} free, {text.size(-after)} too little"
    return _indent([line])


def _to_fetch(steps: Sequence[Host]) -> str:
    known = sum(step.get("bytes") or 0 for step in steps)
    unknown = any(step.get("bytes") is None for step in steps)
    if unknown:
        return f"more than {text.size(known)} to fetch" if known else "size of the fetch unknown"
    return f"{text.size(known)} to fetch" if known else "nothing to fetch"


def _run_total(hosts: Mapping[str, Host]) -> str:
    models = sum(len(host.get("models") or []) for host in hosts.values())
    return f"{_count(len(hosts), 'host')}, {_count(models, 'model')}"


def _plan_total(hosts: Mapping[str, Host]) -> str:
    steps = [step for host in hosts.values() for step in host.get("plan") or []]
    return f"{_count(len(hosts), 'host')}, {_count(len(steps), 'step')}, {_to_fetch(steps)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"{_INDENT}{line}".rstrip() for line in lines]


def _verify(name: str, host: Host) -> list[str]:
    checks: Sequence[Host] = host.get("checks") or []
    held = sum(bool(check["ok"]) for check in checks)
    rows = [("yes" if c["ok"] else "NO", str(c["check"]), str(c["found"])) for c in checks]
    lines = [f"{name}: {held} of {len(checks)} promises hold"]
    lines += _indent(text.table(("Holds", "Promise", "Found"), rows))
    for check in checks:
        if not check["ok"]:
            lines += _indent([f"{check['check']}: no. Try: {check['remedy']}"])
    return lines


def _verify_total(hosts: Mapping[str, Host]) -> str:
    good = sum(all(check["ok"] for check in host.get("checks") or []) for host in hosts.values())
    return f"{good} of {_count(len(hosts), 'host')} as promised"


_PAGES: dict[str, tuple[Callable[[str, Host], list[str]], Callable[[Mapping[str, Host]], str]]] = {
    "run": (_run, _run_total),
    "plan": (_plan, _plan_total),
    "verify": (_verify, _verify_total),
}
