"""Cross-entropies of training, in single precision."""

from torch import Tensor
from torch.nn import functional

IGNORED = -100
"""Target of positions that count nothing."""


def hard(scores: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of scores [..., classes] against class indices [...]; positions of `IGNORED` are left out.

    Targets may be shares of the classes instead, [n, classes].
    """
    if targets.is_floating_point():
        return functional.cross_entropy(scores.float(), targets, label_smoothing=label_smoothing)
    return functional.cross_entropy(
        scores.float().flatten(0, -2), targets.flatten(), ignore_index=IGNORED, label_smoothing=label_smoothing
    )


def soft(scores: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy against the teacher's probabilities, over the positions whose target is not `IGNORED`.

    Args:
        scores: [..., classes].
        teacher: scores of the same shape; no gradient flows through them.
        targets: class indices [...], or shares of the classes [n, classes].
    """
    wanted = teacher.detach().float().softmax(dim=-1)
    losses = -(wanted * scores.float().log_softmax(dim=-1)).sum(dim=-1)
    if targets.is_floating_point():
        return losses.mean()
    counted = (targets != IGNORED).to(losses.dtype)
    return (losses * counted).sum() / counted.sum()
