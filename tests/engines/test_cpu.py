"""Attention for CPUs against PyTorch's own, and the model with one and the other."""

from __future__ import annotations

from typing import Any

import pytest

from mene.engines.transformers import cpu

torch = pytest.importorskip("torch")


class Layer:
    """What Transformers passes as the module: only this is asked of it."""

    def __init__(self, heads: int, groups: int) -> None:
        self.num_key_value_groups = heads // groups
        self.is_causal = True


def tensors(
    heads: int, groups: int, queries: int, keys: int, batch: int = 1, dtype: Any = None
) -> dict[str, Any]:
    torch.manual_seed(0)
    dtype = dtype or torch.bfloat16
    made = {
        "query": torch.randn(batch, heads, queries, 16, dtype=dtype),
        "key": torch.randn(batch, groups, keys, 16, dtype=dtype),
        "value": torch.randn(batch, groups, keys, 16, dtype=dtype),
    }
    mask = torch.zeros(batch, 1, queries, keys, dtype=dtype)
    apart = torch.rand(batch, 1, queries, keys) < 0.5
    apart[..., 0] = False  # each sees something
    return made | {"attention_mask": mask.masked_fill_(apart, torch.finfo(dtype).min)}


def exact(query: Any, key: Any, value: Any, attention_mask: Any, scaling: float) -> Any:
    """By the formula, in float64. Shape (batch, queries, heads, width)."""
    each = query.shape[1] // key.shape[1]
    key, value = (x.double().repeat_interleave(each, dim=1) for x in (key, value))
    scores = query.double() @ key.transpose(2, 3) * scaling + attention_mask.double()
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize(
    ("heads", "groups", "queries", "keys", "batch"),
    [(9, 3, 40, 40, 1), (4, 4, 64, 100, 1), (8, 1, 33, 70, 2), (6, 2, 5, 40, 1)],
)
def test_attention_is_that_of_the_formula(
    heads: int, groups: int, queries: int, keys: int, batch: int
) -> None:
    made = tensors(heads, groups, queries, keys, batch)
    found, weights = cpu.attend(Layer(heads, groups), **made, scaling=0.3)
    assert weights is None
    assert found.shape == (batch, queries, heads, 16)
    assert found.dtype == torch.bfloat16
    assert found.double() == pytest.approx(exact(**made, scaling=0.3), abs=0.02)


def test_gradients_are_those_of_the_formula() -> None:
    made = tensors(6, 2, 48, 48)
    weight = torch.randn(1, 48, 6, 16)
    gradients = []
    for attend in (lambda **a: cpu.attend(Layer(6, 2), **a)[0], exact):
        inputs = [made[name].clone().requires_grad_() for name in ("query", "key", "value")]
        mask = made["attention_mask"].clone()
        found = attend(
            query=inputs[0], key=inputs[1], value=inputs[2], attention_mask=mask, scaling=0.25
        )
        (found.float() * weight).sum().backward()
        gradients.append([x.grad.float() for x in inputs])
        assert torch.equal(mask, made["attention_mask"])  # all layers share it
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.parametrize("case", ["float32", "short", "bool", "none"])
def test_the_rest_is_left_to_pytorch(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tensors(4, 2, 8 if case == "short" else 40, 40, dtype=torch.float32)
    if case != "float32":
        made = {name: value.bfloat16() for name, value in made.items()}
    if case == "bool":
        made["attention_mask"] = made["attention_mask"] == 0
    if case == "none":
        made["attention_mask"] = None
    kernel = torch.nn.functional.scaled_dot_product_attention
    asked = []
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *a, **k: (asked.append(1), kernel(*a, **k))[1],
    )
    cpu.attend(Layer(4, 2), **made)
    assert asked
    if case == "float32":
        asked.clear()
        cpu.attend(Layer(4, 2), **{name: value.bfloat16() for name, value in made.items()})
        assert not asked


def test_memory_can_be_kept_twice() -> None:
    cpu.keep_memory()
    cpu.keep_memory()
