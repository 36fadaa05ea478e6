"""The losses of a training step: SFT and DPO for a pair of completions, Bradley-Terry for two compared responses.

``joint_loss`` is that of Selene Mini (arXiv 2501.17195, section 2): prefer the chosen completion, and learn to write it.

    L = L_DPO + α · L_SFT

``pair_loss`` combines all losses of one pack. Independent of models and trainers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def sft_loss(chosen: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean negative log-likelihood per token of the chosen completion, in nats.

    L_SFT = -log π(c|x) / |c|, with prompt x and chosen c; the length-normalised term of Pang et al. 2024 (arXiv
    2404.19733, section 2).

    Args:
        chosen: log-probability of each chosen completion, summed over its tokens. Shape (pairs,).
        lengths: tokens of each. Shape (pairs,).

    Returns:
        Shape (pairs,).
    """
    return -chosen / lengths


def reward_margins(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Return chosen reward minus rejected reward, where a reward is β · (log π - log π_ref).

    Args:
        chosen, rejected: log-probability of each completion, summed over its tokens. Shape (pairs,).
        reference_chosen, reference_rejected: the same under the model before training. Shape (pairs,).
        beta: strength of the tie to the reference in DPO.

    Returns:
        Shape (pairs,).
    """
    return beta * ((chosen - reference_chosen) - (rejected - reference_rejected))


def dpo_loss(margins: Tensor) -> Tensor:
    """Return the DPO loss, L_DPO = -log σ(margin). Rafailov et al. 2023 (arXiv 2305.18290, equation 7).

    Args:
        margins: of rewards, see ``reward_margins``. Shape (pairs,).

    Returns:
        In nats. Shape (pairs,).
    """
    return -logsigmoid(margins)


def bradley_terry_loss(margins: Tensor, pairs: Tensor) -> Tensor:
    """Return the loss of two responses that are asked about alone: the chosen one should get the higher log-odds of Yes.

    L = -log σ(z_chosen - z_rejected), with z the log-odds of Yes against No: the likelihood of the choice under
    Bradley and Terry 1952, as reward models are trained (Ouyang et al. 2022, arXiv 2203.02155, equation 1), and the log loss
    of the verdict that ``comparison.POINTWISE`` makes of the two answers.

    Args:
        margins: log π(right answer) - log π(wrong answer) of every example: z of a chosen response, whose right answer
            is Yes, and -z of a rejected one. Shape (examples,).
        pairs: numbers of the two examples of each pair. Shape (compared, 2).

    Returns:
        In nats. Shape (compared,).
    """
    return -logsigmoid(margins[pairs].sum(-1))


class JointLoss(NamedTuple):
    """The joint loss of each pair of completions, and its parts; each of shape (pairs,).

    Attributes:
        loss: ``dpo + alpha * sft``.
        dpo: 0 where beta is 0.
        sft: see ``sft_loss``.
        margins: see ``reward_margins``.
    """

    loss: Tensor
    dpo: Tensor
    sft: Tensor
    margins: Tensor


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
    """Return DPO plus length-normalised SFT.

    Args:
        chosen: log-probability of each chosen completion, summed over its tokens. Shape (pairs,).
        rejected: of each rejected one. Shape (pairs,).
        reference_chosen: the same under the model before training. Shape (pairs,).
        reference_rejected: the same under the model before training. Shape (pairs,).
        chosen_lengths: tokens of each chosen completion. Shape (pairs,).
        beta: strength of the tie to the reference in DPO; 0 = SFT only.
        alpha: weight of SFT; 0 = DPO only.
    """
    margins = reward_margins(chosen, rejected, reference_chosen, reference_rejected, beta=beta)
    dpo = dpo_loss(margins) if beta else torch.zeros_like(margins)
    sft = sft_loss(chosen, chosen_lengths)
    return JointLoss(dpo + alpha * sft, dpo, sft, margins)


class PairLoss(NamedTuple):
    """The losses of a pack: one per compared pair, and one per other pair of completions.

    Attributes:
        loss: first of the other pairs, then of the compared pairs, weighted. Shape (others + compared,).
        ahead: log-probability of the right answer minus that of the wrong one, in the same order; above 0, the right one is
            preferred. Shape (others + compared,).
        dpo, sft, margins: of the other pairs, as in ``JointLoss``. Shape (others,).
        bradley_terry: of the compared pairs, unweighted. Shape (compared,).
    """

    loss: Tensor
    ahead: Tensor
    dpo: Tensor
    sft: Tensor
    margins: Tensor
    bradley_terry: Tensor


def pair_loss(
    logps: Tensor,
    reference: Tensor,
    lengths: Tensor,
    pairs: Tensor,
    *,
    beta: float,
    sft: float,
    bradley_terry: float,
) -> PairLoss:
    """Return the losses of a pack: Bradley-Terry for compared responses, the joint loss for the rest.

    Args:
        logps: log-probability of every completion, alternating the chosen and the rejected one of each example. Shape
            (2 * examples,).
        reference: the same under the model before training. Shape (2 * examples,).
        lengths: tokens of every completion. Shape (2 * examples,).
        pairs: numbers of the two examples of each pointwise pair. Shape (compared, 2).
        beta, sft: of the joint loss; ``sft`` is its alpha.
        bradley_terry: weight of a compared pair's loss, which replaces its examples' joint losses; 0 = no comparison, and
            each example is trained independently.
    """
    chosen, rejected = logps[0::2], logps[1::2]
    before = reference[0::2], reference[1::2]
    joint = joint_loss(chosen, rejected, *before, lengths[0::2], beta=beta, alpha=sft)
    ahead = chosen - rejected
    if not (bradley_terry and len(pairs)):
        return PairLoss(joint.loss, ahead, joint.dpo, joint.sft, joint.margins, logps.new_zeros(0))
    compared = bradley_terry_loss(ahead, pairs)
    alone = torch.ones(len(ahead), dtype=torch.bool, device=ahead.device)
    alone[pairs.flatten()] = False
    return PairLoss(
        torch.cat([joint.loss[alone], bradley_terry * compared]),
        torch.cat([ahead[alone], ahead[pairs].sum(-1)]),
        joint.dpo[alone],
        joint.sft[alone],
        joint.margins[alone],
        compared,
    )
