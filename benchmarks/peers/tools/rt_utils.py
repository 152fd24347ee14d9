"""rt-utils: masks alone, as arrays; it writes no files."""

import sys
from pathlib import Path

NAME, PACKAGE, MODULE = "rt-utils", "rt-utils", "rt_utils"
MAKES = ("masks",)
IMAGES, MASKS = "", "*.npz"


def commands(python: str, case: Path, out: Path) -> dict[str, list[str]]:
    return {"masks, nothing written": [python, "-P", __file__, str(case)]}


def judged(python: str, case: Path, out: Path) -> list[str]:
    return [python, "-P", __file__, str(case), str(out)]


def main(case: str, out: str = "") -> None:
    from rt_utils import RTStructBuilder

    struct = RTStructBuilder.create_from(dicom_series_path=f"{case}/ct", rt_struct_path=f"{case}/rtstruct/rs.dcm")
    for number, name in enumerate(struct.get_roi_names()):
        mask = struct.get_roi_mask_by_name(name)  # [row, column, slice]
        if out:
            _save(Path(out, f"{number}.npz"), name, mask, struct.series_data)


def _save(path: Path, name: str, mask, slices) -> None:
    """The array, and where its voxels lie by the tool's own list of slices."""
    import numpy as np

    row, column = np.array(slices[0].ImageOrientationPatient, float).reshape(2, 3)
    down, right = map(float, slices[0].PixelSpacing)
    positions = np.array([one.ImagePositionPatient for one in slices], float)
    steps = np.column_stack([row * right, column * down])
    np.savez(path, name=name, array=np.asarray(mask, np.uint8).transpose(1, 0, 2), steps=steps, positions=positions)


if __name__ == "__main__":
    main(*sys.argv[1:])
