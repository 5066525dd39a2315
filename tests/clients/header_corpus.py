#!/usr/bin/env python3
"""Writes small weights with the real writers `safetensors` and `gguf` to a directory.

The files in `tests/it/data/headers` were made so; a test checks that hfdl accepts each of
them, and none of their beginnings.
"""

import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file


def tensors():
    types = [np.bool_, np.uint8, np.int8, np.int16, np.float16, np.int32, np.float32,
             np.int64, np.float64]
    named = {f"block.{t.__name__}": np.ones((3, 4), dtype=t) for t in types}
    return named | {"scalar": np.array(1, np.float32), "empty": np.zeros((0, 7), np.float32)}


def write_gguf(path, endianess):
    writer = gguf.GGUFWriter(path, "llama", endianess=endianess)
    writer.add_block_count(1)
    writer.add_float32("some.float", 1.5)
    writer.add_bool("some.bool", True)
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_array("some.lists", [[1, 2], [3]])
    writer.add_token_list([b"<s>", b"a", "\u00e9".encode()])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_custom_alignment(64)
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((4, 256)).astype(np.float32)
    writer.add_tensor("norm.weight", weights[0].copy())
    writer.add_tensor("half.weight", weights.astype(np.float16))
    types = gguf.GGMLQuantizationType
    for kind in [types.Q4_0, types.Q5_1, types.Q8_0, types.TQ1_0, types.MXFP4]:
        quantised = gguf.quants.quantize(weights, kind)
        writer.add_tensor(f"{kind.name}.weight", quantised, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    save_file(tensors(), target / "types.safetensors", metadata={"format": "np"})
    save_file({}, target / "empty.safetensors")
    write_gguf(target / "little.gguf", gguf.GGUFEndian.LITTLE)
    write_gguf(target / "big.gguf", gguf.GGUFEndian.BIG)


main()
