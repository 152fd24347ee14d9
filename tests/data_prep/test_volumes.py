"""NIfTI, NRRD and MetaImage in: every voxel where the file has it, masks on the image, layouts told apart."""

import gzip
import json
from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
from dicom_factory import rotation

from data_prep.errors import GeometryError, PrepError, SeriesError, UnreadableFileError
from data_prep.geometry import LPS_TO_RAS
from data_prep.volumes import find_volumes, is_mask, read_image, read_image_volume, read_masks

SHAPE = (7, 6, 5)
SPACING = (1.5, 2.25, 3.5)
ENDINGS = ["nii", "nii.gz", "nrrd", "nhdr", "mha", "mhd"]


def affine_of(axes=None, origin=(-31.25, 17.5, -203.75)):
    """LPS."""
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * SPACING
    affine[:3, 3] = origin
    return affine


def hu_of(shape=SHAPE):
    """Each voxel another value, from -1024."""
    return (np.arange(np.prod(shape)).reshape(shape) * 7 - 1024).astype(np.int16)


def write(path, array_ijk, affine_lps, code=1, edit=None):
    """A volume by nibabel or SimpleITK, by the ending of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".nii" in path.name:
        image = nib.Nifti1Image(array_ijk, LPS_TO_RAS @ affine_lps)
        image.header.set_sform(LPS_TO_RAS @ affine_lps, code)
        image.header.set_qform(LPS_TO_RAS @ affine_lps, code)
        if edit:
            edit(image.header)
        nib.save(image, path)
        return path
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array_ijk.transpose(2, 1, 0)))
    steps = np.linalg.norm(affine_lps[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetDirection((affine_lps[:3, :3] / steps).ravel().tolist())
    image.SetOrigin(affine_lps[:3, 3].tolist())
    if edit:
        edit(image)
    SimpleITK.WriteImage(image, str(path))
    return path


def assert_right(array, grid, stored, affine_lps, tolerance_mm=0.01):
    """Each voxel lies where it was written, and the grid is right-handed."""
    assert np.linalg.det(grid.affine_lps[:3, :3]) > 0
    assert array.shape == tuple(grid.shape_ijk)
    written = np.argsort(stored.ravel())
    read = np.argsort(array.ravel())
    assert np.array_equal(np.sort(stored.ravel()), np.sort(array.ravel()))
    from_ = np.stack(np.unravel_index(written, stored.shape), axis=-1) @ affine_lps[:3, :3].T + affine_lps[:3, 3]
    to = grid.points_mm(np.stack(np.unravel_index(read, array.shape), axis=-1))
    assert np.linalg.norm(from_ - to, axis=1).max() < tolerance_mm


def signed_axes():
    for order, signs in product(permutations(range(3)), product([1, -1], repeat=3)):
        axes = np.zeros((3, 3))
        axes[list(order), range(3)] = signs
        yield axes


@pytest.mark.parametrize("axes", signed_axes(), ids=lambda axes: "".join(f"{v:+.0f}" for v in axes.ravel()))
def test_world_coordinates_in_all_48_signed_axis_permutations(tmp_path, axes):
    for end in ("nii", "nrrd"):
        path = write(tmp_path / f"ct.{end}", hu_of(), affine_of(axes))
        assert_right(*read_image(path), hu_of(), affine_of(axes))


@pytest.mark.parametrize("end", ENDINGS)
@pytest.mark.parametrize("hand", [1, -1])
def test_oblique_volumes_and_their_masks(tmp_path, end, hand):
    affine = affine_of(rotation(12, -25, 40) * [1, 1, hand])
    array, grid = read_image(write(tmp_path / f"ct.{end}", hu_of(), affine))
    assert array.dtype == np.int16
    assert_right(array, grid, hu_of(), affine)
    labels = np.random.default_rng(0).integers(0, 4, SHAPE).astype(np.uint8)
    drawn = read_masks(write(tmp_path / f"lobes.{end}", labels, affine), {2: "middle"})
    assert [one.name for one in drawn] == ["lobes-1", "middle", "lobes-3"]
    for value, one in enumerate(drawn, 1):
        out, report = one.fill(grid)
        assert np.array_equal(out, (labels == value)[:, :, ::hand])
        assert report.notes == [] and report.voxels == (labels == value).sum()


def test_a_sheared_nifti_keeps_its_affine(tmp_path):
    affine = affine_of()
    affine[1, 2] = 0.8  # a tilted gantry

    def edit(header):
        header.set_qform(None, 0)

    image = write(tmp_path / "a.nii.gz", hu_of(), affine_of())
    data = nib.Nifti1Image(hu_of(), LPS_TO_RAS @ affine)
    data.header.set_qform(None, 0)
    nib.save(data, image)
    assert_right(*read_image(image), hu_of(), affine)


@pytest.mark.parametrize(
    ("code", "flags"), [((0, 0), "nothing of its orientation"), ((2, 0), None), ((0, 2), None), ((1, 1), None)]
)
def test_codes_of_sform_and_qform(tmp_path, code, flags):
    affine = affine_of(rotation(0, 0, 30))

    def edit(header):
        header.set_sform(LPS_TO_RAS @ affine if code[0] else None, code[0])
        header.set_qform(LPS_TO_RAS @ affine if code[1] else None, code[1])
        header["pixdim"][1:4] = SPACING

    path = write(tmp_path / "a.nii", hu_of(), affine, edit=edit)
    content = bytearray(path.read_bytes())  # nibabel turns codes of 0 into its defaults on saving
    content[252:256] = np.array([code[1], code[0]], "<i2").tobytes()
    path.write_bytes(content)
    volume = read_image_volume(path)
    assert volume.grid.spacing_mm == pytest.approx(SPACING)
    if flags:
        assert flags in volume.repairs[0]
    else:
        assert volume.repairs == ()
        assert_right(volume.array_ijk, volume.grid, hu_of(), affine)


def test_voxels_of_no_size_are_refused(tmp_path):
    path = write(tmp_path / "a.nii", hu_of(), affine_of())
    content = bytearray(path.read_bytes())
    content[252:256] = bytes(4)  # neither qform nor sform
    content[80:92] = np.array([1, 0, 2], "<f4").tobytes()  # pixdim; nibabel reads 0 as 1
    path.write_bytes(content)
    with pytest.raises(SeriesError, match="how large its voxels are"):
        read_image_volume(path)


def test_sform_and_qform_that_differ_are_said(tmp_path):
    def edit(header):
        header.set_qform(LPS_TO_RAS @ affine_of(origin=(0, 0, 0)), 1)

    volume = read_image_volume(write(tmp_path / "a.nii", hu_of(), affine_of(), edit=edit))
    assert "mm apart" in volume.repairs[0]
    assert_right(volume.array_ijk, volume.grid, hu_of(), affine_of())


def test_a_damaged_qform_does_not_matter_beside_an_sform(tmp_path):
    path = write(tmp_path / "a.nii", hu_of(), affine_of())
    content = bytearray(path.read_bytes())
    content[256:268] = np.array([5, 5, 5], "<f4").tobytes()  # no quaternion
    path.write_bytes(content)
    assert_right(*read_image(path), hu_of(), affine_of())
    content[254:256] = b"\0\0"
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError):
        read_image(path)


@pytest.mark.parametrize("end", ["nii", "nrrd", "nhdr", "mha", "mhd"])
def test_more_bytes_than_voxels_are_said(tmp_path, end):
    path = write(tmp_path / f"a.{end}", hu_of(), affine_of())
    assert read_image_volume(path).repairs == ()
    data = max(tmp_path.iterdir(), key=lambda one: (one.suffix == ".raw", one.stat().st_size))
    content = bytearray(data.read_bytes())
    content[-100:-100] = b"slipped in"
    data.write_bytes(content)
    assert "10 bytes more" in read_image_volume(path).repairs[0]


def test_metres_become_millimetres(tmp_path):
    def edit(header):
        header.set_xyzt_units("meter")

    small = affine_of()
    small[:3] /= 1000
    volume = read_image_volume(write(tmp_path / "a.nii", hu_of(), small, edit=edit))
    assert "meter" in volume.repairs[0]
    assert_right(volume.array_ijk, volume.grid, hu_of(), affine_of())


@pytest.mark.parametrize(
    ("stored", "slope", "inter", "dtype"),
    [
        ("u2", 1, -1024, np.int16),
        (">i2", 2, -1000, np.int16),
        ("u1", 8, -1024, np.int16),
        ("i2", 0.5, -1000, np.float32),
        ("i4", 1000, -1000, np.float32),
        ("f4", 1, -1024, np.int16),
        ("f8", 0.25, -1000, np.float32),
    ],
)
def test_slope_and_intercept(tmp_path, stored, slope, inter, dtype):
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(stored)
    path = tmp_path / "a.nii"
    header = nib.Nifti1Image(values, LPS_TO_RAS @ affine_of()).header
    content = bytearray(344 + 8)
    header.set_slope_inter(slope, inter)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    if stored[0] == ">":
        header = header.as_byteswapped(">")
    content = header.binaryblock + bytes(4) + values.tobytes(order="F")
    path.write_bytes(content)
    array, _ = read_image(path)
    assert array.dtype == dtype
    assert np.array_equal(array, np.float64(values) * slope + inter)


@pytest.mark.parametrize("values", [np.linspace(0, 1, 210), np.arange(210), np.arange(210) + 500], ids=len)
def test_what_is_not_in_hu_is_said_and_not_changed(tmp_path, values):
    volume = read_image_volume(write(tmp_path / "a.nii", values.reshape(SHAPE).astype(np.float32), affine_of()))
    assert "hardly Hounsfield" in volume.repairs[0]
    assert np.array_equal(volume.array_ijk.ravel(), values.astype(np.float32))


def test_four_dimensions_of_which_one_is_single_are_one_volume(tmp_path):
    path = write(tmp_path / "a.nii.gz", hu_of()[..., None], affine_of())
    assert_right(*read_image(path), hu_of(), affine_of())


def with_nan():
    array = hu_of().astype(np.float32)
    array[1, 2, 3] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros((*SHAPE, 2), np.int16), "three dimensions"),
        (np.zeros(SHAPE[:2], np.int16), "three dimensions"),
        (np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), "several values a voxel"),
        (np.zeros(SHAPE, np.complex64), "several values a voxel"),
        (with_nan(), "no finite numbers"),
    ],
)
def test_what_is_no_ct_is_refused(tmp_path, array, named):
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(SeriesError, match=named):
        read_image(tmp_path / "a.nii")


@pytest.mark.parametrize("end", ["nrrd", "mha"])
def test_colours_are_refused(tmp_path, end):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{end}"))
    with pytest.raises(SeriesError, match="several values a voxel"):
        read_image(tmp_path / f"a.{end}")


@pytest.mark.parametrize(
    "affine",
    [np.diag([1, 1, 0, 1.0]), np.diag([1, np.nan, 1, 1.0]), np.diag([1, 1, 1e20, 1.0]), np.ones((4, 4)) * 1e9],
    ids=["flat", "nan", "long", "far"],
)
def test_a_useless_affine_is_refused(tmp_path, affine):
    def edit(header):
        for n, row in enumerate("xyz"):
            header[f"srow_{row}"] = affine[n]

    path = write(tmp_path / "a.nii", hu_of(), affine_of(), edit=edit)
    content = bytearray(path.read_bytes())
    content[280:328] = affine[:3].astype("<f4").tobytes()
    path.write_bytes(content)
    with pytest.raises(GeometryError, match="affine"):
        read_image(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [(30000, 30000, 30000), (500, 500, 500)])
def test_sizes_that_lie_are_refused_before_memory_is_taken(tmp_path, packed, size):
    content = bytearray(write(tmp_path / "a.nii", hu_of(), affine_of()).read_bytes())
    content[42:48] = np.array(size, "<i2").tobytes()
    path = tmp_path / ("b.nii.gz" if packed else "b.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    with pytest.raises(UnreadableFileError, match=r"GiB of voxels|cut short"):
        read_image(path)
    nrrd = write(tmp_path / "a.nrrd", hu_of(), affine_of()).read_bytes()
    (tmp_path / "b.nrrd").write_bytes(nrrd.replace(b"sizes: 7 6 5", b"sizes: %d %d %d" % size))
    with pytest.raises(UnreadableFileError, match=r"GiB of voxels|cut short"):
        read_image(tmp_path / "b.nrrd")


@pytest.mark.parametrize("end", ["nhdr", "mhd"])
@pytest.mark.parametrize("data", ["../a.raw", "/etc/hostname", "missing.raw", "LIST"])
def test_a_header_that_leads_elsewhere_is_refused(tmp_path, end, data):
    folder = tmp_path / "in"
    path = write(folder / f"a.{end}", hu_of(), affine_of())
    own = next(one.name for one in folder.iterdir() if one != path)
    path.write_text(path.read_text().replace(own, data))
    with pytest.raises(UnreadableFileError, match="data file"):
        read_image(path)


@pytest.mark.parametrize("end", ["nii", "nii.gz", "nrrd", "mha"])
def test_damaged_files_are_refused_or_read(tmp_path, end):
    content = write(tmp_path / f"a.{end}", hu_of(), affine_of()).read_bytes()
    random, path, refused = np.random.default_rng(0), tmp_path / f"bad.{end}", 0
    for n in range(40):
        damaged = bytearray(content[: random.integers(1, len(content))] if n % 2 else content)
        damaged[random.integers(len(damaged))] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_image(path)
            read_masks(path)
        except PrepError:
            refused += 1
    assert refused >= 20


@pytest.mark.parametrize("end", ["nii.gz", "nrrd", "nhdr", "mha", "mhd"])
def test_packed_voxels_that_do_not_match_their_checksum_are_refused(tmp_path, end):
    """The readers of NIfTI and MetaImage would give other voxels without a word."""
    import SimpleITK

    stored = np.random.default_rng(0).integers(-1000, -900, (20, 15, 10)).astype(np.int16)
    path = write(tmp_path / f"a.{end}", stored, affine_of())
    if end != "nii.gz":
        image = SimpleITK.ReadImage(str(path))
        for one in tmp_path.iterdir():
            one.unlink()
        SimpleITK.WriteImage(image, str(path), useCompression=True)
    data = max(tmp_path.iterdir(), key=lambda one: one.stat().st_size)
    content, random = data.read_bytes(), np.random.default_rng(1)
    assert np.array_equal(read_image(path)[0], stored)
    for at in random.integers(len(content) // 2, len(content), 30):
        damaged = bytearray(content)
        damaged[at] ^= 1 << random.integers(8)
        data.write_bytes(damaged)
        with pytest.raises(UnreadableFileError):
            read_image(path)
    for longer in (b"more", content[-100:]):
        data.write_bytes(content + longer)
        with pytest.raises(UnreadableFileError):
            read_image(path)
    data.write_bytes(content + bytes(1000))
    assert np.array_equal(read_image(path)[0], stored)


def test_what_unpacks_to_far_more_than_it_declares_is_refused(tmp_path):
    content = write(tmp_path / "a.nii", hu_of(), affine_of()).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content + bytes(50_000_000)))
    with pytest.raises(UnreadableFileError, match="more than"):
        read_image(tmp_path / "b.nii.gz")


def test_gzip_in_several_parts_is_read(tmp_path):
    content = write(tmp_path / "a.nii", hu_of(), affine_of()).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(
        b"".join(gzip.compress(content[n : n + 99]) for n in range(0, len(content), 99))
    )
    assert_right(*read_image(tmp_path / "b.nii.gz"), hu_of(), affine_of())


def test_a_slicer_segmentation_names_its_segments(tmp_path):
    import SimpleITK

    labels = np.random.default_rng(0).integers(0, 3, (*SHAPE, 2)).astype(np.uint8)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.transpose(2, 1, 0, 3)), isVector=True)
    image.SetSpacing(SPACING)
    keys = [("right lung", 1, 0), ("left lung", 2, 0), ("tumour", 1, 1)]
    for n, (name, value, layer) in enumerate(keys):
        image.SetMetaData(f"Segment{n}_Name", name)
        image.SetMetaData(f"Segment{n}_LabelValue", str(value))
        image.SetMetaData(f"Segment{n}_Layer", str(layer))
    SimpleITK.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    _, grid = read_image(write(tmp_path / "ct.nrrd", hu_of(), affine_of(origin=(0, 0, 0))))
    drawn = read_masks(tmp_path / "a.seg.nrrd")
    assert [one.name for one in drawn] == ["right lung", "left lung", "tumour"]
    for one, (_, value, layer) in zip(drawn, keys, strict=True):
        assert np.array_equal(one.fill(grid)[0], labels[..., layer] == value)
    assert is_mask(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize(
    ("values", "named"),
    [(np.linspace(0, 1, 210), "whole numbers"), (np.arange(210) - 1, "the value -1"), (np.arange(210), "128 values")],
)
def test_an_image_is_no_mask(tmp_path, values, named):
    path = write(tmp_path / "a.nrrd", values.reshape(SHAPE).astype(np.float32), affine_of())
    assert not is_mask(path)
    with pytest.raises(SeriesError, match=named):
        read_masks(path)


def test_an_empty_mask_and_a_mask_of_one_value(tmp_path):
    (empty,) = read_masks(write(tmp_path / "gtv.nii.gz", np.zeros(SHAPE, np.uint8), affine_of()))
    assert (empty.name, empty.problem) == ("gtv", "it marks no voxel")
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 1:3, 1:4] = 255
    (one,) = read_masks(write(tmp_path / "gtv.nii.gz", mask, affine_of()))
    assert one.name == "gtv" and one.problem is None


def mask_file(path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 1:3, 1:4] = 1
    return write(path, mask, affine_of())


def found(folder):
    scan = find_volumes([path for path in folder.rglob("*") if path.is_file()])
    cases = {
        case.name: (
            case.image.relative_to(folder).as_posix(),
            [one.relative_to(folder).as_posix() for one in case.masks],
        )
        for case in scan.cases
    }
    return cases, {path.relative_to(folder).as_posix(): why for path, why in scan.refused}, scan


def test_a_folder_a_case(tmp_path):
    write(tmp_path / "A/ct.nrrd", hu_of(), affine_of())
    mask_file(tmp_path / "A/lung.nrrd")
    mask_file(tmp_path / "A/tumour.nii.gz")
    write(tmp_path / "B/image.nii.gz", hu_of(), affine_of())
    mask_file(tmp_path / "B/masks/lung.nii.gz")
    write(tmp_path / "C/image.mha", hu_of(), affine_of())
    mask_file(tmp_path / "D/segmentations/lung.nii.gz")
    (tmp_path / "A/notes.txt").write_text("nothing")
    (tmp_path / "A/._ct.nrrd").write_bytes(b"\0\5\x16\7")
    cases, refused, _ = found(tmp_path)
    assert cases == {
        "A": ("A/ct.nrrd", ["A/lung.nrrd", "A/tumour.nii.gz"]),
        "B": ("B/image.nii.gz", ["B/masks/lung.nii.gz"]),
        "C": ("C/image.mha", []),
    }
    assert refused == {"D/segmentations/lung.nii.gz": "a mask without an image beside it"}


@pytest.mark.parametrize("suffix", ["", "_0000"])
def test_images_and_labels_side_by_side(tmp_path, suffix):
    for case in ("lung_001", "lung_003"):
        write(tmp_path / f"imagesTr/{case}{suffix}.nii.gz", hu_of(), affine_of())
        mask_file(tmp_path / f"labelsTr/{case}.nii.gz")
    write(tmp_path / f"imagesTs/lung_004{suffix}.nii.gz", hu_of(), affine_of())
    mask_file(tmp_path / "labelsTr/lung_009.nii.gz")
    labels = {"background": 0, "cancer": 1} if suffix else {"0": "background", "1": "cancer"}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    cases, refused, scan = found(tmp_path)
    assert cases == {
        "lung_001": (f"imagesTr/lung_001{suffix}.nii.gz", ["labelsTr/lung_001.nii.gz"]),
        "lung_003": (f"imagesTr/lung_003{suffix}.nii.gz", ["labelsTr/lung_003.nii.gz"]),
        "lung_004": (f"imagesTs/lung_004{suffix}.nii.gz", []),
    }
    assert list(refused) == ["labelsTr/lung_009.nii.gz"]
    (one,) = read_masks(scan.cases[0].masks[0], scan.cases[0].label_names)
    assert one.name == "cancer"


def test_several_channels_are_refused(tmp_path):
    for channel in (0, 1):
        write(tmp_path / f"imagesTr/a_{channel:04d}.nii.gz", hu_of(), affine_of())
    mask_file(tmp_path / "labelsTr/a.nii.gz")
    cases, refused, _ = found(tmp_path)
    assert not cases and len(refused) == 2 and all("channels" in why for why in refused.values())


def test_two_images_with_masks_are_refused_and_without_are_two_cases(tmp_path):
    for name in "ab":
        write(tmp_path / f"plain/{name}.nii.gz", hu_of(), affine_of())
        write(tmp_path / f"mixed/{name}.nii.gz", hu_of(), affine_of())
    mask_file(tmp_path / "mixed/lung.nii.gz")
    (tmp_path / "plain/c.nii.gz").write_bytes(b"nothing")
    cases, refused, _ = found(tmp_path)
    assert set(cases) == {"a", "b"}
    assert set(refused) == {"mixed/a.nii.gz", "mixed/b.nii.gz", "mixed/lung.nii.gz", "plain/c.nii.gz"}
    assert "2 images and 1 mask" in refused["mixed/a.nii.gz"]


def test_cases_of_one_name_are_told_apart(tmp_path):
    for site in ("north", "south"):
        write(tmp_path / site / "P1/ct.nii", hu_of(), affine_of())
    cases, _, _ = found(tmp_path)
    assert set(cases) == {"north-P1-ct", "south-P1-ct"}


def test_real_chest_as_nrrd_is_the_one_in_dicom(real_data):
    from data_prep.series import read_series

    folder = real_data / "cip-ct64"
    scan = find_volumes(folder.glob("*.nrrd"))
    (case,) = scan.cases
    assert case.image.name == "ct-64.nrrd" and not scan.refused
    assert [path.name for path in case.masks] == ["lm-64.nrrd", "wholeLung-64.nrrd"]
    array, grid = read_image(case.image)
    in_dicom, dicom_grid = read_series(list((folder / "dicom").iterdir()))
    assert np.array_equal(array, in_dicom)
    corners = np.array(list(product(*((0, n - 1) for n in array.shape))))
    assert np.abs(grid.points_mm(corners) - dicom_grid.points_mm(corners)).max() < 0.01
    (lungs,) = read_masks(case.masks[1])
    mask, report = lungs.fill(dicom_grid)
    assert lungs.name == "wholeLung-64" and report.voxels == mask.sum() > 10_000
    assert array[mask == 1].mean() < -600
    regions = read_masks(case.masks[0])
    assert [one.number % 256 for one in regions] and len(regions) == 19
    union = np.zeros_like(mask)
    for one in regions:
        union |= one.fill(dicom_grid)[0]
    assert (union & mask).sum() > 0.9 * mask.sum()
