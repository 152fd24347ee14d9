"""Time of a training step and of an inference for the networks that `ct_lungs` was chosen from.

`python -m benchmarks.lung_networks [THREADS]`: one volume of 96 x 96 x 128, float32, the fastest of three.
"""

import sys
import time
from collections.abc import Callable

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lungseg_monai.networks import LungUNet3D

SHAPE = (96, 96, 128)


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
    print(f"{torch.get_num_threads()} threads, {SHAPE[0]} x {SHAPE[1]} x {SHAPE[2]} voxels")
    print("| network | weights, millions | training step, s | inference, s |\n|---|---|---|---|")
    for name, network in candidates().items():
        count = sum(one.numel() for one in network.parameters()) / 1e6
        network.to(memory_format=torch.channels_last_3d)
        print(
            f"| {name} | {count:.1f} | {fastest(step(network)):.2f} | {fastest(inference(network)):.2f} |", flush=True
        )


def candidates() -> dict[str, nn.Module]:
    alike = {"norm": ("batch", {"momentum": 0.03}), "act": ("LeakyReLU", {"inplace": True, "negative_slope": 0.1})}
    return {
        "BasicUNet on single voxels, 8 to 128 channels": BasicUNet(3, 1, 3, features=(8, 16, 32, 64, 128, 8), **alike),
        "on 2 x 2 x 2 voxels, 16 to 128 (shipped)": LungUNet3D(features=(16, 32, 64, 128, 128, 16)),
        "on 2 x 2 x 2 voxels, 24 to 192": LungUNet3D(features=(24, 48, 96, 192, 192, 24)),
    }


def step(network: nn.Module) -> Callable[[], Tensor]:
    optimizer = torch.optim.AdamW(network.parameters())
    image, label = torch.randn(1, 1, *SHAPE), torch.randint(0, 3, (1, *SHAPE))

    def run() -> Tensor:
        network.train()
        loss = cross_entropy(network(image), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return run


def inference(network: nn.Module) -> Callable[[], Tensor]:
    image = torch.randn(1, 1, *SHAPE)

    def run() -> Tensor:
        network.eval()
        with torch.inference_mode():
            return network(image)

    return run


def fastest(run: Callable[[], Tensor]) -> float:
    times = []
    for _ in range(4):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times[1:])


if __name__ == "__main__":
    main()
