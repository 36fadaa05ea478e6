"""The losses of a training step: SFT and DPO for a pair of completions, Bradley and Terry for two compared responses.

``joint_loss`` is that of Selene Mini (arXiv 2501.17195, section 2): prefer the chosen completion, and learn to write it.

    L = L_DPO + α · L_SFT

``pair_loss`` puts all of them together for the pairs of one pack. Nothing here knows a model or a trainer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def sft_loss(chosen: Tensor, lengths: Tensor) -> Tensor:
    """Mean negative log-likelihood of a token of the chosen completion, in nats.

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
    """Chosen reward minus rejected reward; a reward is β · (log π - log π_ref).

    Args:
        chosen, rejected: log-probability of each completion, summed over its tokens. Shape (pairs,).
        reference_chosen, reference_rejected: the same under the model before training. Shape (pairs,).
        beta: how strongly DPO holds on to the reference.

    Returns:
        Shape (pairs,).
    """
    return beta * ((chosen - reference_chosen) - (rejected - reference_rejected))


def dpo_loss(margins: Tensor) -> Tensor:
    """Direct preference optimisation: L_DPO = -log σ(margin). Rafailov et al. 2023 (arXiv 2305.18290, equation 7).

    Args:
        margins: of rewards, see ``reward_margins``. Shape (pairs,).

    Returns:
        in nats. Shape (pairs,).
    """
    return -logsigmoid(margins)


def bradley_terry_loss(margins: Tensor, pairs: Tensor) -> Tensor:
    """Of two responses that are asked about alone, the chosen one should be the likelier one to be chosen.

    L = -log σ(z_chosen - z_rejected), with z the log-odds of Yes against No: the likelihood of the choice under
    Bradley and Terry 1952, as rewards are learned (Ouyang et al. 2022, arXiv 2203.02155, equation 1), and the log loss
    of the verdict that ``comparison.POINTWISE`` makes of the two answers.

    Args:
        margins: log π(right answer) - log π(wrong answer) of every example: z of a chosen response, whose right answer
            is Yes, and -z of a rejected one. Shape (examples,).
        pairs: numbers of the two examples of each pair. Shape (compared, 2).

    Returns:
        in nats. Shape (compared,).
    """
    return -logsigmoid(margins[pairs].sum(-1))


class JointLoss(NamedTuple):
    """The joint loss of each pair of completions, and what it is made of; each of shape (pairs,).

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
    """DPO plus length-normalised SFT.

    Args:
        chosen: log-probability of each chosen completion, summed over its tokens. Shape (pairs,).
        rejected: of each rejected one. Shape (pairs,).
        reference_chosen: the same under the model before training. Shape (pairs,).
        reference_rejected: the same under the model before training. Shape (pairs,).
        chosen_lengths: tokens of each chosen completion. Shape (pairs,).
        beta: how strongly DPO holds on to the reference; 0 = SFT alone.
        alpha: weight of SFT; 0 = DPO alone.
    """
    margins = reward_margins(chosen, rejected, reference_chosen, reference_rejected, beta=beta)
    dpo = dpo_loss(margins) if beta else torch.zeros_like(margins)
    sft = sft_loss(chosen, chosen_lengths)
    return JointLoss(dpo + alpha * sft, dpo, sft, margins)


class PairLoss(NamedTuple):
    """The loss of a pack: of each compared pair one, of each other pair of completions one.

    Attributes:
        loss: the others' first, then the compared pairs', weighted. Shape (others + compared,).
        ahead: log-probability of what is right minus that of what is wrong, in the same order; above 0 the right one
            is preferred. Shape (others + compared,).
        dpo, sft, margins: of the others, as in ``JointLoss``. Shape (others,).
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
    """The loss of everything in a pack: Bradley and Terry's for responses that are compared, the joint loss for the rest.

    Args:
        logps: log-probability of every completion, of each example the chosen and the rejected one in turn. Shape
            (2 * examples,).
        reference: the same under the model before training. Shape (2 * examples,).
        lengths: tokens of every completion. Shape (2 * examples,).
        pairs: numbers of the two examples of each pair whose responses are asked about alone. Shape (compared, 2).
        beta, sft: of the joint loss; ``sft`` is its alpha.
        bradley_terry: weight of a compared pair's loss, which takes the place of its examples' joint losses; 0 = they
            are not compared, and each example is learned by itself.
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
