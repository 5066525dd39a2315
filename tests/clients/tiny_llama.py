"""A model of a few kilobytes that llama.cpp loads."""

import tempfile
from pathlib import Path

import gguf
import numpy


def tiny_llama(seed):
    """Makes a GGUF file that llama.cpp loads: one layer, a vocabulary of single bytes."""
    noise = numpy.random.default_rng(seed)
    width, inner, n_words = 32, 64, 259

    def matrix(*shape):
        return noise.standard_normal(shape).astype(numpy.float32) / 10

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "tiny.gguf"
        writer = gguf.GGUFWriter(str(path), "llama")
        writer.add_context_length(64)
        writer.add_embedding_length(width)
        writer.add_block_count(1)
        writer.add_feed_forward_length(inner)
        writer.add_head_count(2)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(16)
        writer.add_vocab_size(n_words)
        writer.add_tokenizer_model("llama")
        writer.add_token_list([b"<unk>", b"<s>", b"</s>", *(f"<0x{n:02X}>".encode() for n in range(256))])
        writer.add_token_scores([0.0] * n_words)
        writer.add_token_types([2, 3, 3, *[6] * 256])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        ones = numpy.ones(width, numpy.float32)
        tensors = {
            "token_embd": matrix(n_words, width),
            "output_norm": ones,
            "output": matrix(n_words, width),
            "blk.0.attn_norm": ones,
            "blk.0.ffn_norm": ones,
            "blk.0.ffn_gate": matrix(inner, width),
            "blk.0.ffn_up": matrix(inner, width),
            "blk.0.ffn_down": matrix(width, inner),
            **{f"blk.0.attn_{name}": matrix(width, width) for name in ("q", "k", "v", "output")},
        }
        for name, tensor in tensors.items():
            writer.add_tensor(f"{name}.weight", tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()
