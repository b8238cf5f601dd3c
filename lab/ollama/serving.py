# SPDX-License-Identifier: GPL-3.0-or-later
"""`ollama serve`: the key pair's directory, the start-up log, and the HTTP server."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from lab.ollama import gpu, log
from lab.ollama.app import create_app
from lab.ollama.engine import LlamaEngine
from lab.ollama.request_record import RequestRecord
from lab.ollama.settings import Settings


def run(settings: Settings) -> int:
    """Listen, log like the real server, and serve until stopped."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=256)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = (error.strerror or str(error)).lower()
        print(f"Error: listen tcp {where}: bind: {reason}", file=sys.stderr)
        return 1
    log.info(
        "server config",
        env=f"map[OLLAMA_CONTEXT_LENGTH:{settings.context_length} "
        f"OLLAMA_HOST:http://{settings.host}:{settings.port} "
        f"OLLAMA_KEEP_ALIVE:{settings.keep_alive:g}s OLLAMA_MODELS:{settings.models} "
        f"OLLAMA_NOPRUNE:{str(settings.noprune).lower()} "
        f"OLLAMA_NUM_PARALLEL:{settings.num_parallel}]",
    )
    app: ASGIApp = create_app(settings.models, LlamaEngine(), settings=settings)
    if settings.record:
        app = RequestRecord(app, settings.record)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info(f"Listening on {host}:{settings.port} (version {settings.full_version})")
    log.warning("this is the lab's stand-in, not Ollama: see lab/ollama/README.md")
    _log_devices(settings)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _log_devices(settings: Settings) -> None:
    nodes = gpu.usable_nodes()
    for index, node in enumerate(nodes):
        log.info(
            "inference compute",
            id=f"standin-{index}",
            library="CUDA",
            name=f"CUDA{index}",
            description=f"stand-in for {node}",
        )
    if not nodes:
        total = _memory("MemTotal")
        available = _memory("MemAvailable")
        log.info(
            "inference compute",
            id="cpu",
            library="cpu",
            compute="",
            name="cpu",
            description="cpu",
            libdirs="ollama",
            driver="",
            pci_id="",
            type="",
            total=f"{total:.1f} GiB",
            available=f"{available:.1f} GiB",
        )
    log.info(
        "vram-based default context",
        total_vram="0 B",
        default_num_ctx=settings.default_context,
    )


def _memory(key: str) -> float:
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return int(lines[key].split()[0]) / 1024**2
