"""Muon for matrices and convolution kernels, Adam for the rest.

Muon is https://kellerjordan.github.io/posts/muon/ with the update scaled to Adam's root mean square as in
https://arxiv.org/abs/2502.16982. torch.optim.Muon takes two-dimensional parameters only, and one at a time; here
kernels are flattened and equal shapes share one batched matrix product, which matters with many small matrices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum. Parameters have two dimensions or more; those after the first are flattened."""

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[nn.Parameter]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is not None:
                    by_shape[(param.shape[0], param[0].numel())].append(param)
            for shape, params in by_shape.items():
                self._update(params, shape, group)

    def _update(self, params: list[nn.Parameter], shape: tuple[int, int], group: dict[str, Any]) -> None:
        momentum, lr = group["momentum"], group["lr"]
        directions = []
        for param in params:
            buffer = self.state[param].setdefault("momentum", torch.zeros_like(param))
            buffer.mul_(momentum).add_(param.grad)
            assert param.grad is not None
            directions.append(torch.add(param.grad, buffer, alpha=momentum).reshape(shape))
        scale = 0.2 * max(shape) ** 0.5
        for param, update in zip(params, orthogonalize(torch.stack(directions)), strict=True):
            param.mul_(1 - lr * group["weight_decay"]).add_(update.reshape(param.shape), alpha=-lr * scale)


def orthogonalize(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly, by a quintic Newton-Schulz iteration. (batch, rows, columns)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return x.mT if tall else x


class Trainer:
    """Both optimizers, the learning rate, gradient averaging over processes and the averaged weights."""

    def __init__(self, module: nn.Module, muon_names: Iterable[str], lr: float, average: float = 0.998) -> None:
        named = {name: param for name, param in module.named_parameters() if param.requires_grad}
        chosen = set(muon_names)
        self.params = list(named.values())
        self.lr = lr
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon([param for name, param in named.items() if name in chosen], lr=lr),
            torch.optim.AdamW(
                [param for name, param in named.items() if name not in chosen],
                lr=lr,
                betas=(0.9, 0.98),
                weight_decay=0.0,
            ),
        ]
        self.average = average
        self.averaged = [param.detach().clone() for param in self.params]
        self.steps = 0

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """One update; `rate` in [0, 1] scales the learning rate."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.lr * rate
        loss.backward()
        average_gradients(self.params)
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        decay = min(self.average, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.averaged, [param.detach() for param in self.params], 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "averaged": self.averaged,
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.averaged, self.steps = state["averaged"], state["steps"]

    @torch.no_grad()
    def swap_averaged(self) -> None:
        """Exchange the live weights and their running average; call again to change back."""
        for param, average in zip(self.params, self.averaged, strict=True):
            live = param.detach().clone()
            param.copy_(average)
            average.copy_(live)


def average_gradients(params: list[nn.Parameter]) -> None:
    """Replace the gradients by their mean over the processes of torch.distributed, if there are several."""
    if not torch.distributed.is_initialized():
        return
    grads = [torch.zeros_like(param) if param.grad is None else param.grad for param in params]
    flat = torch.cat([grad.flatten() for grad in grads])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    for param, part in zip(params, flat.split([param.numel() for param in params]), strict=True):
        param.grad = part.view_as(param)
