"""Losses that tolerate wrong labels, such as those of pseudo masks.

The gradient of cross-entropy is largest where a label contradicts a confident prediction, so a network ends up fitting
wrong labels. These losses give such labels less weight: by a bounded reverse term, by mixing the network's own
prediction into the target, or by a temperature.
"""

from __future__ import annotations

from torch import Tensor

from wsss.losses.base import Loss, is_soft, is_unlabelled, labelled_mask, prepared, weighted_logs, zero_loss
from wsss.losses.noisy.noisy_label_config import BootstrapConfig, LabelDistributionConfig, SymmetricCrossEntropyConfig


class PixelLoss(Loss):
    """The mean of a per-pixel loss, `per_pixel`, over the labelled pixels."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss; see `wsss.losses.base`."""
        logits, target = prepared(logits, target)
        mask = labelled_mask(target)
        if is_unlabelled(target, mask):
            return zero_loss(logits)
        if not is_soft(target):
            target = target if mask is None else target.masked_fill(~mask, 0)
        values = self.per_pixel(logits, target)
        return values.mean() if mask is None else (values * mask).sum() / mask.sum()

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each pixel, ``(B, H, W)``.

        Args:
            logits: ``(B, C, H, W)``.
            target: class indices ``(B, H, W)`` or, with `takes_soft`, probabilities ``(B, C, H, W)``; any value at
                ignored pixels.
        """
        raise NotImplementedError


class SymmetricCrossEntropyLoss(PixelLoss):
    """``ce_weight · CE + reverse_weight · RCE`` with the reverse cross-entropy ``RCE = −Σ_c p_c log t_c``.

    Wang et al., ICCV 2019. ``log 0`` is ``log_zero``, so the reverse term of class indices is
    ``−log_zero · (1 − p(target))``, which a wrong label can increase to ``−log_zero`` at most.

    Example:
        >>> import torch
        >>> from wsss.losses import SymmetricCrossEntropyLoss
        >>> target = torch.tensor([[[0, 1, 255]]])  # 255 is ignored
        >>> round(SymmetricCrossEntropyLoss()(torch.zeros(1, 2, 1, 3), target).item(), 4)
        2.6931
    """

    config_type = SymmetricCrossEntropyConfig
    config: SymmetricCrossEntropyConfig
    takes_soft = True

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        config, logs = self.config, logits.log_softmax(1)
        if is_soft(target):
            reverse = -(logs.exp() * target.clamp(min=1e-30).log().clamp(min=config.log_zero)).sum(1)
        else:
            reverse = -config.log_zero * (1 - _of_target(logs, target).exp())
        return config.ce_weight * _cross_entropy(logs, target) + config.reverse_weight * reverse


class BootstrapLoss(PixelLoss):
    """Cross-entropy with the target ``label_weight · t + (1 − label_weight) · q``, q from the network's prediction.

    Reed et al., ICLR 2015 workshop. q are the predicted probabilities (``prediction="soft"``), or the one-hot most
    probable class (``"hard"``).

    Example:
        >>> import torch
        >>> from wsss.losses import BootstrapLoss
        >>> target = torch.tensor([[[0, 1, 255]]])
        >>> round(BootstrapLoss()(torch.zeros(1, 2, 1, 3), target).item(), 4)
        0.6931
    """

    config_type = BootstrapConfig
    config: BootstrapConfig
    takes_soft = True

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        config, logs = self.config, logits.log_softmax(1)
        own = -logs.amax(1) if config.prediction == "hard" else -weighted_logs(logs.exp(), logs).sum(1)
        return config.label_weight * _cross_entropy(logs, target) + (1 - config.label_weight) * own


class LabelDistributionLoss(PixelLoss):
    """Label-distributionally robust loss, ``λ log Σ_c exp((z_c + margin · [c ≠ t] − z_t) / λ)`` of logits z.

    LDR-KL of Zhu, Ying & Yang, ICML 2023, with λ the temperature, plus the constant λ log C, so that its minimum is 0.
    With λ → 0 it is the loss of multi-class support vector machines; with λ → ∞ its gradient no longer depends on the
    logits, which makes it tolerant of wrong labels; λ = 1 without margin is cross-entropy.

    Example:
        >>> import torch
        >>> from wsss.losses import LabelDistributionLoss
        >>> target = torch.tensor([[[0, 1, 255]]])
        >>> round(LabelDistributionLoss(margin=0)(torch.zeros(1, 2, 1, 3), target).item(), 4)
        0.6931
    """

    config_type = LabelDistributionConfig
    config: LabelDistributionConfig

    def per_pixel(self, logits: Tensor, target: Tensor) -> Tensor:
        """See `PixelLoss.per_pixel`."""
        config = self.config
        scores = logits + config.margin
        at = target.unsqueeze(1)
        scores = scores.scatter(1, at, logits.gather(1, at))  # no margin at the target itself
        differences = (scores - logits.gather(1, at)) / config.temperature
        return config.temperature * differences.logsumexp(1)


def _of_target(values: Tensor, target: Tensor) -> Tensor:
    """Return the values ``(B, H, W)`` of the target class."""
    return values.gather(1, target.unsqueeze(1)).squeeze(1)


def _cross_entropy(logs: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy ``(B, H, W)`` of log-probabilities."""
    return -weighted_logs(target, logs).sum(1) if is_soft(target) else -_of_target(logs, target)
