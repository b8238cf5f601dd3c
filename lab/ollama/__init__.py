# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the Ollama server: HTTP API, store, registry protocol. Not Ollama itself."""
