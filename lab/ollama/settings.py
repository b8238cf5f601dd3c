# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's settings, read from the environment by Ollama's own rules."""

from __future__ import annotations

import dataclasses
import math
import os
import re
import typing as t
from pathlib import Path

from lab.ollama import log
from lab.ollama.errors import ApiError

BASE_VERSION = "0.32.15"
DEFAULT_PORT = 11434
FOREVER = math.inf
_GO_TYPES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the environment may change; the defaults are the real server's on a CPU host."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    models: Path = Path("~/.ollama/models")
    keep_alive: float = 300.0
    context_length: int = 0
    num_parallel: int = 1
    max_loaded_models: int = 0
    max_queue: int = 512
    noprune: bool = False
    no_cloud: bool = False
    version: str = BASE_VERSION
    record: Path | None = None

    @property
    def full_version(self) -> str:
        """The version as the API reports it: it always says that this is a stand-in."""
        return f"{self.version}+standin"

    @property
    def default_context(self) -> int:
        return self.context_length or 4096


def from_environment(environ: t.Mapping[str, str] = os.environ) -> Settings:
    """Return the settings; values lose surrounding blanks and quotes first."""
    values = {key: value.strip().strip("\"'") for key, value in environ.items()}
    host, port, _scheme = parse_host(values.get("OLLAMA_HOST", ""))
    home = Path(values.get("HOME") or "/root")
    return Settings(
        host=host,
        port=port,
        models=Path(values.get("OLLAMA_MODELS") or home / ".ollama" / "models"),
        keep_alive=_keep_alive(values.get("OLLAMA_KEEP_ALIVE", "")),
        context_length=_unsigned(values, "OLLAMA_CONTEXT_LENGTH", 0),
        num_parallel=_unsigned(values, "OLLAMA_NUM_PARALLEL", 1) or 1,
        max_loaded_models=_unsigned(values, "OLLAMA_MAX_LOADED_MODELS", 0),
        max_queue=_unsigned(values, "OLLAMA_MAX_QUEUE", 512),
        noprune=_boolean(values.get("OLLAMA_NOPRUNE", "")),
        no_cloud=_boolean(values.get("OLLAMA_NO_CLOUD", "")),
        version=values.get("OLLAMA_STANDIN_VERSION") or BASE_VERSION,
        record=Path(values["OLLAMA_STANDIN_RECORD"]) if "OLLAMA_STANDIN_RECORD" in values else None,
    )


def parse_host(text: str) -> tuple[str, int, str]:
    """Split OLLAMA_HOST into host, port and scheme; a bad port becomes the default one."""
    scheme, separator, rest = text.strip().strip("\"'").partition("://")
    if not separator:
        scheme, rest = "http", scheme
        default_port = DEFAULT_PORT
    else:
        default_port = {"http": 80, "https": 443}.get(scheme, DEFAULT_PORT)
    rest = rest.split("/", 1)[0]
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, ""
    number = int(port) if port.isdecimal() and int(port) < 65536 else default_port
    return host.strip("[]") or "127.0.0.1", number, scheme


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration such as `1h15m30s`; ValueError if it is none."""
    body = text.lstrip("+-")
    if body == "0":
        return 0.0
    parts = _DURATION.findall(body)
    if not body or "".join(number + unit for number, unit in parts) != body:
        raise ValueError(text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return -seconds if text.startswith("-") else seconds


def request_keep_alive(value: t.Any) -> float:
    """Return the seconds a request's `keep_alive` stands for; negative means for ever."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ApiError(f"Unsupported type: '{_GO_TYPES[type(value)]}'", 400)
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except ValueError:
        raise ApiError(_bad_duration(str(value)), 400) from None
    return FOREVER if seconds < 0 else seconds


def _bad_duration(text: str) -> str:
    reason = "missing unit in" if text.lstrip("+-").replace(".", "", 1).isdigit() else "invalid"
    return f'time: {reason} duration "{text}"'


def _keep_alive(text: str) -> float:
    if not text:
        return 300.0
    try:
        seconds = float(text) if text.lstrip("+-").isdecimal() else parse_duration(text)
    except ValueError:
        log.warning("invalid duration, using default", key="OLLAMA_KEEP_ALIVE", value=text)
        return 300.0
    return FOREVER if seconds < 0 else seconds


def _unsigned(values: t.Mapping[str, str], key: str, default: int) -> int:
    text = values.get(key, "")
    if not text:
        return default
    if not text.isdecimal():
        log.warning(
            "invalid environment variable, using default", key=key, value=text, default=default
        )
        return default
    return int(text)


def _boolean(text: str) -> bool:
    """An unparsable value counts as true, as in the real server."""
    return text not in ("", "0", "f", "F", "false", "FALSE", "False")
