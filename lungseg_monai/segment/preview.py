"""A small copy of image and labels for a page to look at: about 2 mm, no axis over 256 voxels."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.nifti import write_nifti
from lungseg_monai.segment.image import Image

WANTED_MM = 1.8
MOST_VOXELS = 256
WINDOW_HU = (-1024, 600)
MOST_THREADS = 4
INT16_MOST = 32767
Labels = NDArray[np.uint8]


def write_preview(
    folder: Path, image: Image, labels_ijk: Labels, stem: str, beside: Mapping[str, Labels] | None = None
) -> None:
    """As write_preview_image, and folder/<stem>.nii.gz: the labels of the voxel in the middle of each block.

    beside: further labels, by what their file is called. Raises OutputError.
    """
    write_preview_image(folder, image)
    write_preview_labels(folder, image, {stem: labels_ijk, **(beside or {})})


def write_preview_image(folder: Path, image: Image) -> None:
    """Write folder/ct.nii.gz: int16 HU, means of blocks of voxels, clipped to WINDOW_HU; axes are the image's.

    Raises OutputError.
    """
    factors = preview_factors(image.array_ijk.shape, image.spacing_mm)
    write_nifti(folder / "ct.nii.gz", block_means(image.array_ijk, factors), _preview_affine(image, factors))


def write_preview_labels(folder: Path, image: Image, masks: Mapping[str, Labels]) -> None:
    """Write folder/<name>.nii.gz for each of `masks`, on the preview's grid. Raises OutputError."""
    factors = preview_factors(image.array_ijk.shape, image.spacing_mm)
    affine_ras = _preview_affine(image, factors)
    for name, labels in masks.items():
        kept = [n // f * f for n, f in zip(labels.shape, factors, strict=True)]
        # in blocks of an even number half a voxel beside their centre, which no eye sees
        nearest = labels[tuple(slice(f // 2, n, f) for n, f in zip(kept, factors, strict=True))]
        write_nifti(folder / f"{name}.nii.gz", nearest, affine_ras)


def _preview_affine(image: Image, factors: tuple[int, int, int]) -> NDArray[np.float64]:
    affine_ras = image.affine_ras.copy()
    affine_ras[:3, 3] += image.affine_ras[:3, :3] @ ((np.array(factors) - 1) / 2)
    affine_ras[:3, :3] *= factors
    return affine_ras


def preview_factors(shape_ijk: tuple[int, ...], spacing_mm: tuple[float, ...]) -> tuple[int, int, int]:
    """How many voxels make one of the preview, along each axis: never more than there are."""
    factors = []
    for size, step_mm in zip(shape_ijk, spacing_mm, strict=True):
        fits = -(-size // MOST_VOXELS)
        factors.append(min(size, max(1, fits, round(WANTED_MM / step_mm))))
    i, j, k = factors
    return i, j, k


def block_means(array_ijk: NDArray, factors: tuple[int, int, int]) -> NDArray[np.int16]:
    """Means over blocks of `factors` voxels, clipped to WINDOW_HU; voxels beyond the last whole block are left out."""
    shape = [size // factor for size, factor in zip(array_ijk.shape, factors, strict=True)]
    out = np.empty(shape[::-1], np.int16)
    planes = array_ijk.transpose(2, 1, 0)
    threads = min(MOST_THREADS, os.cpu_count() or 1)

    def fill(first: int) -> None:
        for k in range(first, shape[2], threads):
            out[k] = _block(planes[k * factors[2] : (k + 1) * factors[2]], factors, (shape[1], shape[0]))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(threads)))
    return out.transpose(2, 1, 0)


def _block(planes: NDArray, factors: tuple[int, int, int], shape: tuple[int, int]) -> NDArray:
    """(slices, rows, columns) -> (rows', columns'), the mean of all slices and of blocks in the plane."""
    low, high = WINDOW_HU
    count = len(planes) * factors[0] * factors[1]
    kind = np.int16 if count * -low <= INT16_MOST else np.int32  # sums of few int16 fit, and are several times faster
    total = np.zeros(shape, kind)
    for plane in planes:
        cut = plane[: shape[0] * factors[1], : shape[1] * factors[0]]
        if cut.dtype.kind == "f":
            cut = np.rint(np.nan_to_num(cut, nan=low, posinf=high, neginf=low))
        clipped = np.clip(cut, low, high).astype(kind, copy=False)
        rows = clipped[:: factors[1]].copy()
        for n in range(1, factors[1]):
            rows += clipped[n :: factors[1]]
        for n in range(factors[0]):
            total += rows[:, n :: factors[0]]
    return np.rint(total * np.float32(1 / count))
