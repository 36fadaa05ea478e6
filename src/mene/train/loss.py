"""The joint loss of Selene Mini: prefer the chosen completion, and learn to write it.

    L = L_DPO + α · L_SFT

    L_DPO = -log σ(β · [(log π(c|x) - log π_ref(c|x)) - (log π(r|x) - log π_ref(r|x))])
    L_SFT = -log π(c|x) / |c|

with prompt x, chosen c and rejected r. L_DPO is Rafailov et al. 2023 (arXiv 2305.18290, equation 7); the sum
with the length-normalised likelihood of the chosen one is Pang et al. 2024 (arXiv 2404.19733, section 2),
as Selene Mini has it (arXiv 2501.17195, section 2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

Tensor = Any  # torch.Tensor; torch is imported only where it is used


class JointLoss(NamedTuple):
    """The loss of every pair, and what it is made of; each of shape (pairs,).

    Attributes:
        loss: ``dpo + alpha * sft``.
        dpo: 0 where beta is 0.
        sft: mean negative log-likelihood of a token of the chosen completion, in nats.
        margins: chosen reward minus rejected reward; a reward is beta times the log-ratio.
    """

    loss: Tensor
    dpo: Tensor
    sft: Tensor
    margins: Tensor


def bradley_terry_loss(margins: Tensor, pairs: Tensor) -> Tensor:
    """Of two responses that are asked about alone, the chosen one should be the likelier one to be chosen.

    L_BT = -log σ(z_chosen - z_rejected), with z the log-odds of Yes against No: the likelihood of the choice under
    Bradley and Terry 1952, as rewards are learned (Ouyang et al. 2022, arXiv 2203.02155, equation 1), and the log loss
    of the verdict that ``comparison.POINTWISE`` makes of the two answers.

    Args:
        margins: log π(right answer) - log π(wrong answer) of every example: z of a chosen response, whose right answer
            is Yes, and -z of a rejected one. Shape (examples,).
        pairs: numbers of the two examples of each pair. Shape (pairs, 2).

    Returns:
        the loss of each pair, in nats. Shape (pairs,).
    """
    import torch

    return -torch.nn.functional.logsigmoid(margins[pairs].sum(-1))


def joint_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    chosen_lengths: Tensor,
    *,
    beta: float,
    alpha: float,
) -> JointLoss:
    """DPO plus length-normalised SFT.

    Args:
        chosen: log-probability of each chosen completion, summed over its tokens. Shape (pairs,).
        rejected: of each rejected one.
        reference_chosen: the same under the model before training.
        reference_rejected: the same under the model before training.
        chosen_lengths: tokens of each chosen completion.
        beta: how strongly DPO holds on to the reference; 0 = SFT alone.
        alpha: weight of SFT; 0 = DPO alone.
    """
    import torch

    margins = beta * ((chosen - reference_chosen) - (rejected - reference_rejected))
    dpo = -torch.nn.functional.logsigmoid(margins) if beta else torch.zeros_like(margins)
    sft = -chosen / chosen_lengths
    return JointLoss(dpo + alpha * sft, dpo, sft, margins)
