# SPDX-License-Identifier: GPL-3.0-or-later
"""Real GGUF files of two megabytes, made here: what they say is known beforehand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import gguf
import numpy

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + "
    "'\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""A chat template of the kind that Ollama knows by heart."""

SAID = "ready"
"""What the model answers to everything whose prompt ends with a line break."""

TEMPLATE = "{{ .System }}{{ .Prompt }}\n"
"""A template that ends with one."""

WIDTH = 288
CONTEXT = 256
_NAMED = ("<unk>", "<s>", "</s>")
_END = 2
_SURE = 40.0


def model(label: str, *, embeds: bool = False, chat_template: str | None = None) -> bytes:
    """A llama that says one word and stops; another label makes another file.

    Attention and feed-forward are zero, so that the next token follows from the last one alone.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name(label)
        writer.add_context_length(CONTEXT)
        writer.add_embedding_length(WIDTH)
        writer.add_block_count(1)
        writer.add_feed_forward_length(32)
        writer.add_head_count(4)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(WIDTH)
        writer.add_rope_dimension_count(WIDTH // 4)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        _vocabulary(writer)
        if chat_template is not None:
            writer.add_chat_template(chat_template)
        if embeds:
            writer.add_pooling_type(gguf.PoolingType.MEAN)
        for name, tensor in _tensors().items():
            writer.add_tensor(name, tensor.astype(numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _vocabulary(writer: gguf.GGUFWriter) -> None:
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*_NAMED, *every_byte]
    tokens += [f"<unused{n}>" for n in range(WIDTH - len(tokens))]
    kinds = [gguf.TokenType.UNUSED] * WIDTH
    kinds[: len(_NAMED)] = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
    kinds[len(_NAMED) : len(_NAMED) + 256] = [gguf.TokenType.BYTE] * 256
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * WIDTH)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(_END)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def _tensors() -> dict[str, numpy.ndarray]:
    one, zero = numpy.eye(WIDTH), numpy.zeros
    # Row: the next token; column: the last one. Who knows no continuation stops.
    following = zero((WIDTH, WIDTH))
    following[_END, :] = 1.0
    # Where a schema leaves a choice it is never white space, which could go on for ever.
    for blank in " \t\n":
        following[_token(blank), :] = -1.0
    said = "\n" + SAID
    for last, following_letter in zip(said, SAID, strict=False):
        following[:, _token(last)] = 0.0
        following[_token(following_letter), _token(last)] = 1.0
    return {
        "token_embd.weight": one,
        "output_norm.weight": numpy.ones(WIDTH),
        "output.weight": following * _SURE,
        "blk.0.attn_norm.weight": numpy.ones(WIDTH),
        "blk.0.attn_q.weight": zero((WIDTH, WIDTH)),
        "blk.0.attn_k.weight": zero((WIDTH, WIDTH)),
        "blk.0.attn_v.weight": zero((WIDTH, WIDTH)),
        "blk.0.attn_output.weight": zero((WIDTH, WIDTH)),
        "blk.0.ffn_norm.weight": numpy.ones(WIDTH),
        "blk.0.ffn_gate.weight": zero((32, WIDTH)),
        "blk.0.ffn_down.weight": zero((WIDTH, 32)),
        "blk.0.ffn_up.weight": zero((32, WIDTH)),
    }


def _token(letter: str) -> int:
    return len(_NAMED) + ord(letter)
