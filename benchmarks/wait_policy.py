"""What OMP_WAIT_POLICY=PASSIVE does to a training step, alone and beside another busy process.

`python -m benchmarks.wait_policy`. OpenMP's waiting threads spin by default: as soon as one core is busy elsewhere,
every parallel region waits for the thread that lost its core. It must be set before torch is loaded.
"""

import os
import subprocess
import sys
from contextlib import ExitStack

STEP = """
import time, torch
from lungseg_monai.networks import GaoUNet
network = GaoUNet(width=16)
optimizer = torch.optim.Adam(network.parameters())
images = torch.rand(8, 1, 128, 128)
seconds = []
for _ in range(6):
    started = time.perf_counter()
    optimizer.zero_grad()
    torch.nn.functional.binary_cross_entropy_with_logits(network(images), images.round()).backward()
    optimizer.step()
    seconds.append(time.perf_counter() - started)
print(sorted(seconds[1:])[2])
"""


def seconds_a_step(policy: str | None) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy:
        environment["OMP_WAIT_POLICY"] = policy
    done = subprocess.run([sys.executable, "-c", STEP], env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    print("other busy processes   default   passive   ratio   (median seconds of a step, 8 slices of 128x128)")
    for busy in (0, 1, 2):
        with ExitStack() as stack:
            for _ in range(busy):
                other = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
                stack.callback(other.kill)
            default, passive = seconds_a_step(None), seconds_a_step("PASSIVE")
        print(f"{busy:>20} {default:>9.2f} {passive:>9.2f} {default / passive:>7.1f}")


if __name__ == "__main__":
    main()
