"""The joint loss over a prefix tree equals TRL's over plain padded sequences, in value and gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from mene.judge.comparison import POINTWISE
from mene.scale import Scale
from mene.train.evaluate import label_probabilities
from mene.train.examples import Example, Pack, packed, partners
from mene.train.forward import (
    added_mask,
    block_mask,
    completion_logps,
    reference_logps,
    tensors,
)
from mene.train.loss import bradley_terry_loss, joint_loss, pair_loss
from mene.verdict import Verdict

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SHARED = [3, 1, 4, 1, 5, 9, 2, 6]
EXAMPLES = [
    # Prompts that share a start, one that does not; completions of one and of several tokens that begin alike.
    Example("a", "s", ("x", "y"), [*SHARED, 7, 8], [[11], [12]]),
    Example("b", "s", ("x", "y"), [*SHARED, 7, 9, 9], [[13, 14, 15], [13, 16]]),
    Example("c", "s", ("x", "y"), [*SHARED[:5], 30], [[17, 18], [19, 20, 21, 22]]),
    Example("d", "s", ("x", "y"), [40, 41, 42], [[23], [24, 25]]),
]


def tiny(seed: int, kind: str = "Llama") -> Any:
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        initializer_range=0.2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    return getattr(transformers, f"{kind}ForCausalLM")(config)


def ours(model: Any, reference: Any, beta: float, alpha: float) -> Any:
    pack = Pack.of(EXAMPLES)
    [before] = reference_logps(reference, [pack])
    logps, before = completion_logps(model, tensors(pack)), torch.from_numpy(before)
    lengths = torch.from_numpy(pack.lengths)
    return joint_loss(
        logps[0::2],
        logps[1::2],
        before[0::2],
        before[1::2],
        lengths[0::2],
        beta=beta,
        alpha=alpha,
    )


def trl_trainer(model: Any, reference: Any, beta: float, alpha: float, folder: Any) -> Any:
    trl = pytest.importorskip("trl")
    import datasets

    class Ready(trl.DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset  # tokens, as they are

    rows = [
        {"prompt_ids": e.prompt, "chosen_ids": e.completions[0], "rejected_ids": e.completions[1]}
        for e in EXAMPLES
    ]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=pytest.importorskip("tokenizers").Tokenizer(
            pytest.importorskip("tokenizers").models.WordLevel({"<pad>": 0, "</s>": 1}, "<pad>")
        ),
        pad_token="<pad>",
        eos_token="</s>",
    )
    kinds = [("sigmoid", 1.0)] * (beta > 0) + [("sft", alpha)] * (alpha > 0)
    arguments = trl.DPOConfig(
        output_dir=str(folder),
        beta=beta or 0.1,
        loss_type=[kind for kind, _ in kinds],
        loss_weights=[weight for _, weight in kinds],
        per_device_train_batch_size=1,
        bf16=False,
        use_cpu=True,
        report_to=[],
        gradient_checkpointing=False,
    )
    return Ready(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
    )


@pytest.mark.parametrize(("beta", "alpha"), [(0.1, 1.0), (0.5, 0.0), (0.0, 1.0)])
def test_loss_and_gradient_are_trl_s(tmp_path: Any, beta: float, alpha: float) -> None:
    model, reference = tiny(1).eval(), tiny(2).eval()
    loss = ours(model, reference, beta, alpha).loss
    loss.sum().backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()

    trainer = trl_trainer(model, reference, beta, alpha, tmp_path)
    trainer.model.eval()
    total = torch.zeros(())
    # One pair at a time: TRL's SFT term is a mean over the tokens of a batch, not of each pair.
    for index, row in enumerate(trainer.train_dataset):
        batch = trainer.data_collator([row])
        one = trainer.compute_loss(trainer.model, batch)
        assert one.item() == pytest.approx(loss[index].item(), abs=1e-4)
        total = total + one
    total.backward()
    theirs = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    assert set(theirs) == set(gradients)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Gemma2"])
def test_completions_score_as_if_alone(kind: str) -> None:
    model = tiny(3, kind).eval()
    pack = Pack.of(EXAMPLES)
    found = completion_logps(model, tensors(pack)).tolist()
    number = 0
    for example in EXAMPLES:
        for completion in example.completions:
            ids = torch.tensor([example.prompt + completion])
            logs = model(ids).logits[0].log_softmax(-1)
            start = len(example.prompt) - 1
            alone = sum(logs[start + i, t].item() for i, t in enumerate(completion))
            assert found[number] == pytest.approx(alone, abs=1e-4)
            number += 1


def test_padded_packs_score_the_same_and_flexattention_skips_what_the_mask_hides() -> None:
    pack = Pack.of(EXAMPLES)
    model, padded = tiny(3).eval(), tensors(pack, room=64)
    assert padded["input_ids"].shape == (1, 64) and len(pack.tree.ids) % 64
    torch.testing.assert_close(
        completion_logps(model, padded), completion_logps(model, tensors(pack)), atol=1e-5, rtol=0
    )
    added = added_mask(padded["ends"], torch.float32)[0, 0]
    count, real = torch.arange(64), len(pack.tree.ids)
    attends = block_mask(padded["ends"]).mask_mod
    flexible = attends(torch.tensor(0), torch.tensor(0), count[:, None], count)
    assert torch.equal(flexible, added == 0)
    assert torch.equal(flexible[:real, :real], torch.from_numpy(pack.tree.mask()))
    assert torch.equal(flexible[real:], count == count[real:, None])


def test_what_is_shared_is_computed_once() -> None:
    distinct = {
        tuple((e.prompt + c)[:i])
        for e in EXAMPLES
        for c in e.completions
        for i in range(1, len(e.prompt + c) + 1)
    }
    assert len(Pack.of(EXAMPLES).tree.ids) == len(distinct)


def test_packs_hold_every_example_once() -> None:
    packs = packed(EXAMPLES, 14, 0)
    assert len(packs) > 1
    assert sorted(e.id for p in packs for e in p.examples) == ["a", "b", "c", "d"]
    assert [p.examples[0].id for p in packed(EXAMPLES, 14, 0)] == [p.examples[0].id for p in packs]


def test_two_responses_asked_alone_stay_together_and_share_their_loss() -> None:
    halves = [replace(EXAMPLES[0], compared="p"), EXAMPLES[2], replace(EXAMPLES[3], compared="p")]
    [both] = [p for p in packed(halves, 14, 0) if any(e.compared for e in p.examples)]
    assert [e.id for e in both.examples] == ["a", "d"]
    assert both.compared.tolist() == [[0, 1]]
    assert (both.units, Pack.of(EXAMPLES).units) == (1, 4)
    assert partners(halves[:2]) == []  # the other one was too long

    # z of the chosen response is 1.5, of the rejected one 0.5: its right answer, No, is likelier by -0.5.
    [loss] = bradley_terry_loss(torch.tensor([1.5, 9.0, -0.5]), torch.tensor([[0, 2]]))
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(-1.0))), rel=1e-6)


def test_the_loss_of_a_pack_is_made_of_its_parts() -> None:
    """Examples 0 and 2 are compared with each other, 1 is by itself."""
    logps = torch.tensor([-1.0, -2.5, -3.0, -1.0, -4.0, -3.5])
    reference = torch.tensor([-1.5, -2.0, -2.0, -2.0, -3.0, -3.0])
    lengths, pairs = torch.tensor([1, 1, 2, 1, 1, 1]), torch.tensor([[0, 2]])
    weights = {"beta": 0.1, "sft": 2.0}

    both = pair_loss(logps, reference, lengths, pairs, **weights, bradley_terry=0.5)
    dpo = math.log(1 + math.exp(0.1 * ((-1.0 + 2.0) - (-3.0 + 2.0))))
    compared = math.log(1 + math.exp(-(1.5 - 0.5)))
    assert both.loss.tolist() == pytest.approx([dpo + 2.0 * 3.0 / 2, 0.5 * compared])
    assert both.ahead.tolist() == [-2.0, 1.0]
    assert both.bradley_terry.tolist() == pytest.approx([compared])
    assert both.dpo.tolist() == pytest.approx([dpo])
    assert (both.sft.tolist(), both.margins.tolist()) == ([1.5], pytest.approx([-0.2]))

    # Without a weight for it nothing is compared.
    alone = pair_loss(logps, reference, lengths, pairs, **weights, bradley_terry=0.0)
    assert alone.loss.shape == alone.ahead.shape == alone.sft.shape == (3,)
    assert alone.loss[1] == both.loss[0]
    assert len(alone.bradley_terry) == 0


def test_a_pair_asked_alone_is_judged_as_one() -> None:
    yes, no = [11], [12]
    model = tiny(1).eval()
    a = Example("p/a", "s", ("Yes", "No"), [*SHARED, 7], [yes, no], 1, "p")
    b = Example("p/b", "s", ("Yes", "No"), [*SHARED, 8], [yes, no], 0, "p")
    alone = replace(EXAMPLES[1], id="q")
    judged = label_probabilities(model, [Pack.of([a, alone, b])])
    assert [(e.id, e.labels, e.right) for e, _ in judged] == [
        ("p", ("A", "B"), 1),
        ("q", ("x", "y"), 0),
    ]
    [answer_a, _, answer_b] = (
        probs
        for _, probs in label_probabilities(
            model, [Pack.of([replace(e, compared=None) for e in (a, alone, b)])]
        )
    )
    parts = [
        Verdict(probabilities=dict(zip(a.labels, map(float, p), strict=True)))
        for p in (answer_a, answer_b)
    ]
    whole = POINTWISE.conclude(parts, Scale.pairwise())
    assert whole.probabilities is not None
    assert judged[0][1].tolist() == pytest.approx([whole.probabilities[k] for k in "AB"], rel=1e-4)


def test_the_reference_margin_is_what_dpo_starts_from() -> None:
    model = tiny(1).eval()
    found = ours(model, model, 0.1, 1.0)
    torch.testing.assert_close(found.margins, torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.dpo, torch.full((4,), 0.6931472), atol=1e-5, rtol=0)
