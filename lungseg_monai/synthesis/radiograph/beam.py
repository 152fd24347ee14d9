"""A divergent beam and the body's own frame sampled along its rays, so that a projection is a sum along one axis.

The laboratory's axes are LPS, its origin in the patient's middle. Grids are (I, J, K): i to the patient's left on the
receptor, j to the back along the beam, k up on the receptor.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungseg_monai.synthesis.fields import Field, noise
from lungseg_monai.synthesis.frame import WARP_KNOTS, WARP_MM, Frame, Pose

SAFETY = 1.3  # windows of shapes are grown by so much more than the warp needs, as bodies larger than 1 are scaled
EDGE = 1.1  # width of a soft edge, in pixels


@dataclass(frozen=True)
class Beam:
    """view: "PA" (source behind the patient) or "AP" (before). source_mm: from the source to the receptor.

    gap_mm: from the receptor to the patient's middle. pixel_mm: of the grid, on the receptor. step_mm: along the beam.
    """

    view: str
    source_mm: float
    gap_mm: float
    pixel_mm: float
    step_mm: float

    def shrink(self, y_mm: NDArray[np.floating]) -> NDArray[np.floating]:
        """How much smaller than its shadow a thing in the plane `y_mm` is: 1 over its magnification."""
        towards = -y_mm if self.view == "PA" else y_mm
        return (self.source_mm - self.gap_mm + towards) / self.source_mm

    def path_mm(self, shape: tuple[int, int, int]) -> Field:
        """(I, K): how far a ray runs from one plane of the grid to the next."""
        u, v = ((np.arange(n) - (n - 1) / 2) * self.pixel_mm / self.source_mm for n in (shape[0], shape[2]))
        slant = np.sqrt(1 + u[:, None] ** 2 + v[None, :] ** 2)
        return np.asarray(self.step_mm * slant, np.float32)


def beam_frame(
    shape: tuple[int, int, int], beam: Beam, pose: Pose, turn: NDArray[np.float64], random: np.random.Generator
) -> Frame:
    """Body coordinates on the rays of `beam`. turn: (3, 3) rotation from the laboratory to the body."""
    linear = turn / np.array(pose.scale)[:, None]
    i, j, k = (np.arange(n) - (n - 1) / 2 for n in shape)
    y = j * beam.step_mm
    shrink = beam.shrink(y)
    x_lab = (i[:, None] * beam.pixel_mm * shrink[None, :]).astype(np.float32)[:, :, None]
    z_lab = (shrink[:, None] * k[None, :] * beam.pixel_mm).astype(np.float32)[None]
    y_lab = y.astype(np.float32)[None, :, None]
    amplitudes = [pose.warp * float(random.uniform(low, high)) for low, high in WARP_MM]
    axes, reach = [], 0.0
    for axis in range(3):
        a, b, c = (np.float32(value) for value in linear[axis])
        warp = sum(
            np.float32(amplitude) * noise(shape, max(shape) / knots, random)
            for amplitude, knots in zip(amplitudes, WARP_KNOTS, strict=True)
        )
        reach = max(reach, float(np.abs(warp).max()))
        axes.append((a * x_lab + c * z_lab) + (b * y_lab + np.float32(pose.centre_mm[axis])) + warp)
    bend = float(np.abs(shrink - beam.shrink(np.zeros(1))).max()) * max(shape[0], shape[2]) / 2 * beam.pixel_mm
    reach = SAFETY * (reach + bend / min(pose.scale))
    edge = EDGE * beam.pixel_mm / float(np.mean(pose.scale))
    x, y_body, z = axes
    return Frame(x, y_body, z, edge, _index_from_body(shape, beam, linear, pose), reach)


def _index_from_body(
    shape: tuple[int, int, int], beam: Beam, linear: NDArray[np.float64], pose: Pose
) -> NDArray[np.float64]:
    """(4, 4): as if the beam were parallel, at the size of the patient's middle."""
    middle = float(beam.shrink(np.zeros(1))[0]) * beam.pixel_mm
    body_from_index = np.eye(4)
    body_from_index[:3, :3] = linear @ np.diag([middle, beam.step_mm, middle])
    body_from_index[:3, 3] = np.array(pose.centre_mm) - body_from_index[:3, :3] @ ((np.array(shape) - 1) / 2)
    return np.asarray(np.linalg.inv(body_from_index), np.float64)


def locate(frame: Frame, points_mm: NDArray[np.floating], rounds: int = 4) -> NDArray[np.float64]:
    """(N, 3) indices, not rounded, of body points (N, 3): Newton's steps against divergence and warp."""
    linear, shape = frame.index_from_body[:3, :3], np.array(frame.x.shape)
    index = points_mm @ linear.T + frame.index_from_body[:3, 3]
    for _ in range(rounds):
        near = np.clip(np.rint(index).astype(int), 0, shape - 1)
        i, j, k = near.T
        found = np.stack([frame.x[i, j, k], frame.y[i, j, k], frame.z[i, j, k]], axis=1)
        index = near + (points_mm - found) @ linear.T
    return index
