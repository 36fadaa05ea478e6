"""How many prompt tokens an engine reads once for several rows, on benchmark sets: OpenVINO beside llama.cpp.

    python benchmarks/reuse.py --data DATA --model SmolLM2-135M-Instruct.Q8_0.gguf [--sets financebench] [--rows 500]

What is shared depends on the texts, the tokenizer and the engine's plan, never on the weights. So the model here is nano's
with its first layer alone, which reads thirty times as fast. Rows come in whole groups, chosen by a fixed seed.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import gguf
from bench import whole_groups

from mene import Judge
from mene.bench.data import data_folder, read_set
from mene.bench.run import judge_set
from mene.bench.sets import find_sets

PRESET = """
engine: {engine}
weights: {{path: {file}}}
template: prefix
mode: verdict
compare: pointwise
"""


def one_layer(model: Path, path: Path) -> None:
    """Write a GGUF file of a Llama model with its first layer alone."""
    reader = gguf.GGUFReader(model)
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    arch = str(fields.pop("general.architecture").contents())
    writer = gguf.GGUFWriter(path, arch)
    for name, field in fields.items():
        value = 1 if name == f"{arch}.block_count" else field.contents()
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, value, field.types[0], inner)
    for tensor in reader.tensors:
        if not tensor.name.startswith("blk.") or tensor.name.startswith("blk.0."):
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", default="hhh_alignment,aggrefact_parts,financebench")
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file, e.g. nano's")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "one.gguf"
        one_layer(options.model, file)
        for one in find_sets(options.sets):
            items = whole_groups(read_set(data_folder(options.data), one), options.rows)
            for engine in ("openvino", "llamacpp"):
                preset = Path(folder) / f"{engine}.yaml"
                preset.write_text(PRESET.format(engine=engine, file=file))
                with Judge(str(preset)) as judge:
                    ledger = Path(folder) / f"{one.name}-{engine}.jsonl"
                    usage = judge_set(judge, one, items, ledger).summary.usage
                print(
                    f"{one.name:18} {len(items):5} rows  {engine:9} reused "
                    f"{100 * usage.cached_tokens / usage.prompt_tokens:5.1f} % of {usage.prompt_tokens:,} tokens",
                    flush=True,
                )


if __name__ == "__main__":
    main()
