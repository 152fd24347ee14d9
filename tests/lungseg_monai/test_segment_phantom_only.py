import json
from pathlib import Path

import pytest
from dicom_factory import Ct, write_ct
from pydicom.dataset import Dataset
from segment_factory import chest_hu, write_chest_nifti

from data_prep.phantom import PhantomOptions, make_patient
from data_prep.phantom.dicom_common import common
from lungseg_monai.segment.cases import InputOptions, find_cases
from lungseg_monai.segment.phantom_only import MAKER, is_phantom_file, is_phantom_series
from lungseg_monai.segment.reading import load


def test_a_phantoms_slices_say_who_made_them() -> None:
    slices = common(make_patient(3, 1, PhantomOptions(spacing_mm=(8.0, 8.0, 10.0))), "CT")
    assert slices.Manufacturer == MAKER


@pytest.mark.parametrize(("makers", "known"), [([MAKER], True), ([MAKER, "A scanner"], False), (["A scanner"], False)])
def test_a_series_is_a_phantom_only_if_all_of_its_slices_say_so(tmp_path: Path, makers: list[str], known: bool) -> None:
    def sign(data: Dataset, k: int) -> Dataset:
        data.Manufacturer = makers[k % len(makers)]
        return data

    write_ct(tmp_path / "ct", Ct(), chest_hu().astype(int) + 1024, sign)
    options = InputOptions(salt_file=tmp_path / "salt")
    (case,) = find_cases([tmp_path / "ct"], options=options).cases
    loaded = load(case, tmp_path / "scratch")
    assert loaded.image.phantom is known
    assert is_phantom_series(case.plan.slices) is known
    assert not is_phantom_series([])


def test_a_prepared_folder_says_which_of_its_images_are_phantoms(tmp_path: Path) -> None:
    cases = []
    for name, maker in (("made", MAKER), ("patient", "A scanner"), ("unknown", None)):
        write_chest_nifti(tmp_path / name / "image.nii.gz")
        cases.append({"id": name, "image": f"{name}/image.nii.gz", "modality": "CT", "source": {"manufacturer": maker}})
    (tmp_path / "dataset.json").write_text(json.dumps({"schema_version": "1.0", "cases": cases, "refused": []}))
    assert is_phantom_file(tmp_path / "made" / "image.nii.gz")
    assert not is_phantom_file(tmp_path / "patient" / "image.nii.gz")
    assert not is_phantom_file(tmp_path / "unknown" / "image.nii.gz")
    other = write_chest_nifti(tmp_path / "made" / "other.nii.gz")
    assert not is_phantom_file(other)  # in a phantom's folder, but not of its dataset.json
    found = find_cases([tmp_path / "made" / "image.nii.gz"]).cases
    assert load(found[0], tmp_path / "scratch").image.phantom
    (tmp_path / "dataset.json").write_text("{")
    assert not is_phantom_file(tmp_path / "made" / "image.nii.gz")
