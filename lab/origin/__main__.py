# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m lab.origin`: serve the lab's data directory over HTTP."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import uvicorn

from lab.origin.app import create_app
from lab.origin.transport import WithTransport

# A small send buffer keeps the record honest: little is taken by the kernel but never delivered.
SEND_BUFFER = 256 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.origin", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the data directory")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--cdn-host", help="host[:port] that blob requests are redirected to")
    parser.add_argument("--role", choices=("origin", "cdn", "both"), default="origin")
    args = parser.parse_args()
    listener = socket.create_server((args.host, args.port), backlog=256)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    app = create_app(args.root, cdn_host=args.cdn_host, role=args.role)
    config = uvicorn.Config(
        app, http=WithTransport, log_level="info", access_log=False, timeout_graceful_shutdown=3
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
