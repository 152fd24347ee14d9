"""Batch normalisation folded into the convolutions before it: the same answer with fewer steps, for inference."""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
LARGEST = 1e-3  # difference of an answer, as a share of the greatest, that folding may make


def folded(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy in evaluation mode, with each normalisation that reads a convolution's output folded into it.

    example: an input, which shows what reads what. Where the copy would not compute the same, as where a convolution's
    output is read elsewhere too, nothing is folded. `network` stays as it is.
    """
    network = copy.deepcopy(network).eval()
    plain = copy.deepcopy(network)
    pairs = _pairs(plain, example)
    for convolution, norm in pairs:
        parts: Any = plain.get_submodule(convolution), plain.get_submodule(norm)
        fused: nn.Module = torch.nn.utils.fuse_conv_bn_eval(*parts)
        _replace(plain, convolution, fused)
        _replace(plain, norm, nn.Identity())
    with torch.inference_mode():
        wanted, found = network(example), plain(example)
    if float((wanted - found).abs().max()) > LARGEST * max(float(wanted.abs().max()), 1e-6):
        return network
    return plain


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions and of the normalisations that read their outputs, each used once."""
    outputs: list[tuple[Tensor, str]] = []  # the tensors are held, so that no other takes their place
    pairs: list[tuple[str, str]] = []
    used: Counter[str] = Counter()

    def made(name: str) -> Any:
        def hook(module: nn.Module, given: Any, output: Tensor) -> None:
            used[name] += 1
            outputs.append((output, name))

        return hook

    def read(name: str) -> Any:
        def hook(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            used[name] += 1
            pairs.extend((convolution, name) for output, convolution in outputs if output is given[0])

        return hook

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, CONVOLUTIONS):
            hooks.append(module.register_forward_hook(made(name)))
        elif isinstance(module, NORMS) and module.track_running_stats and module.affine:
            hooks.append(module.register_forward_pre_hook(read(name)))
    with torch.inference_mode():
        network(example)
    for hook in hooks:
        hook.remove()
    return [(convolution, norm) for convolution, norm in pairs if used[convolution] == used[norm] == 1]


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, module)
