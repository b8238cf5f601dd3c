# Copyright: (c) 2026, edgellm.host contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One real request to a model, and a record of it so that it need not be repeated. Private."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import typing as t

from ansible_collections.edgellm.host.plugins.module_utils.errors import EdgellmError, Refused

from . import language
from .answer import ask, placement

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .answer import JsonObject, Kind, Request
    from .client import Client, Installed
    from .record import Record


# What has a meaning for one kind of answer only.
WORDS_ONLY = ("system", "format", "expect", "expect_language")
EMBEDDING_ONLY = ("dimensions",)
_PROBED_BY: dict[Kind, str] = {
    "chat": "an answer in words",
    "generate": "an answer in words",
    "embed": "embedding",
}


class ProbeFailed(EdgellmError):
    """The model answered, but not as it must; the details hold the answer."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result, or in check mode what would be asked; changed says whether the record is."""

    changed: bool
    probe: JsonObject | None
    planned: str | None


@dataclasses.dataclass(frozen=True)
class State:
    """What was read: the model, whether the record has a pass of it, and what it can do."""

    installed: Installed | None
    recorded: JsonObject | None = None
    capabilities: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Decision:
    """Either a recorded result to hand back, or the kind of request to send."""

    recorded: JsonObject | None = None
    kind: Kind | None = None


def ensure(
    client: Client,
    request: Request,
    *,
    record: Record | None = None,
    force: bool = False,
    check_mode: bool = False,
) -> Outcome:
    """A passed probe of this request: the recorded one if there is one, else a new one."""
    # In check mode an earlier task may have only predicted the folder.
    check(request, None if check_mode else record)
    installed = client.find(request.name)
    if installed is None and check_mode:
        # An earlier task would have installed it; which kind it is shows only then.
        return Outcome(bool(record), None, request.kind)
    key = {
        "request": request.fingerprint,
        "digest": installed.digest if installed else "",
        "server_version": client.version(),
    }
    recorded = record.passed(key) if record and not force else None
    known = capabilities(client.show(request.name)) if installed and not recorded else ()
    decision = decide(request, State(installed, recorded, known))
    if decision.recorded is not None:
        return Outcome(False, {**decision.recorded, "recorded": True}, None)
    kind = decision.kind or "chat"
    if check_mode:
        return Outcome(bool(record), None, kind)
    result = ask(client, request, kind, known)
    result.update(
        digest=key["digest"],
        server_version=key["server_version"],
        measured_at=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        recorded=False,
        **placement(client, request, key["digest"]),
    )
    complaint = judge(request, kind, result)
    if record:
        record.write({"name": request.name.short, **key}, result, passed=complaint is None)
    if complaint:
        raise ProbeFailed(f"The probe of {request.name.short} failed: {complaint}", probe=result)
    return Outcome(bool(record), result, None)


def check(request: Request, record: Record | None = None) -> None:
    """Refuse what makes no sense whatever the model is."""
    if request.expect is not None:
        check_expect(request.expect)
    if record and not record.has_folder:
        raise Refused(f"The folder of the record {record.path} does not exist.")


def decide(request: Request, state: State) -> Decision:
    """What to send; Refused when this model cannot answer such a request."""
    name = request.name.short
    if state.installed is None:
        raise Refused(f"{name} is not installed on this server, so it cannot be probed.")
    if state.recorded is not None:
        return Decision(recorded=state.recorded)
    completes = "completion" in state.capabilities
    can: dict[Kind, bool] = {
        "chat": completes,
        "generate": completes,
        "embed": "embedding" in state.capabilities,
    }
    kind: Kind
    if request.kind == "auto":
        kind = "embed" if can["embed"] and not can["chat"] else "chat"
    else:
        kind = request.kind
    if not can[kind]:
        able = ", ".join(state.capabilities) or "nothing"
        raise Refused(f"{name} cannot be probed by kind {kind}: the server says it can: {able}.")
    _refuse_meaningless(request, kind)
    return Decision(kind=kind)


def _refuse_meaningless(request: Request, kind: Kind) -> None:
    """Refuse expectations that this kind of answer could never meet."""
    options = WORDS_ONLY if kind == "embed" else EMBEDDING_ONLY
    given = [option for option in options if getattr(request, option)]
    if given:
        raise Refused(
            f"{request.name.short} is probed by {_PROBED_BY[kind]}, where {', '.join(given)} has "
            "no meaning."
        )


def capabilities(shown: Mapping[str, t.Any]) -> tuple[str, ...]:
    """What the model can do; servers before 0.6.4 do not say it, the weights do."""
    told = shown.get("capabilities")
    if told is not None:
        return tuple(map(str, told))
    pools = any(str(key).endswith(".pooling_type") for key in shown.get("model_info") or {})
    return ("embedding",) if pools else ("completion",)


def judge(request: Request, kind: Kind, result: Mapping[str, t.Any]) -> str | None:
    """What is wrong with the answer or with where it was made, or None."""
    judged = _judge_embedding if kind == "embed" else _judge_words
    return judged(request, result) or _judge_place(request, result)


def _judge_embedding(request: Request, result: Mapping[str, t.Any]) -> str | None:
    if not result["dimensions"]:
        return "it gave no usable embedding."
    if request.dimensions is not None and result["dimensions"] != request.dimensions:
        return f"the embedding has {result['dimensions']} dimensions, not {request.dimensions}."
    return None


def _judge_words(request: Request, result: Mapping[str, t.Any]) -> str | None:
    text = spoken = result["text"]
    if not text.strip():
        return "the answer is empty."
    if (result["eval_count"] or 0) < request.min_tokens:
        return f"the answer has {result['eval_count']} tokens, not {request.min_tokens}."
    if request.format is not None:
        try:
            # The keys of an object are in the language of the schema.
            spoken = " ".join(_strings(json.loads(text)))
        except ValueError:
            return (
                f"the answer is not the JSON that was asked for (num_predict too small?): {text!r}"
            )
    if request.expect is not None and not re.search(request.expect, text):
        return f"the answer does not match {request.expect!r}: {text!r}"
    if request.expect_language is not None:
        complaint = language.judge(spoken, request.expect_language)
        return complaint and f"the answer {complaint}: {text!r}"
    return None


def _judge_place(request: Request, result: Mapping[str, t.Any]) -> str | None:
    if not request.require_gpu:
        return None
    wanted = f"at least {request.require_gpu}% of it must be in GPU memory (require_gpu)"
    if result["size"] is None:
        return f"{wanted}, but the server has unloaded it already; raise its keep_alive."
    size, size_vram, share = result["size"], result["size_vram"], result["gpu_share"]
    if share is None:
        return (
            f"{wanted}, but the server's numbers say nothing: {size_vram} of {size} bytes (size_"
            "vram of size in /api/ps)."
        )
    # In whole numbers: a share that was rounded must not decide.
    if size_vram * 100 < request.require_gpu * size:
        return f"{wanted}, but {share:g}% is: {size_vram} of {size} bytes ({result['processor']})."
    return None


def _strings(value: t.Any) -> list[str]:
    """Every text in a JSON value, but for the keys."""
    if isinstance(value, str):
        return [value]
    inner = list(value.values()) if isinstance(value, dict) else value
    return [text for each in inner for text in _strings(each)] if isinstance(inner, list) else []


def check_expect(text: str) -> None:
    """Refuse what is no regular expression."""
    try:
        re.compile(text)
    except re.error as error:
        raise Refused(f"expect is not a regular expression: {error}.") from error


def parse_share(value: t.Any) -> int:
    """The percentage that require_gpu means; 0 is no requirement."""
    words = {"true": 100, "yes": 100, "false": 0, "no": 0, "none": 0}
    text = str(value).strip().lower()
    share = int(text) if re.fullmatch("[0-9]{1,3}", text) else words.get(text)
    if share is None or share > 100:
        raise Refused(
            f"require_gpu is {value!r}, but must be true (the whole model), false, or the share "
            "in percent that must be in GPU memory at least, from 0 to 100."
        )
    return share


def parse_format(value: t.Any) -> Mapping[str, t.Any] | str | None:
    """The format as the server takes it: a JSON schema, or "json" for any JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise Refused(f"format is no JSON: {error}.") from error
    if value is None or value == "json" or isinstance(value, dict):
        return t.cast("Mapping[str, t.Any] | str | None", value)
    raise Refused(f"format is {value!r}, but must be a JSON schema, or json for any JSON.")
