"""Picture files and masks: against Pillow, every kind of pixel, odd files, resizing by a brute-force rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from data_prep.errors import UnreadableFileError
from data_prep.radiographs.jpeg import jpeg_damage
from data_prep.radiographs.masks import read_mask, resize_nearest
from data_prep.radiographs.picture import read_picture
from data_prep.radiographs.png import png_header, write_png
from data_prep.radiographs.radiograph import Radiograph, check, pixels_sha256

GREY = np.random.default_rng(1).integers(3, 250, (71, 94)).astype(np.uint8)
DEEP = np.random.default_rng(2).integers(0, 60000, (71, 94)).astype(np.uint16)
BOX = np.zeros((40, 30), bool)
BOX[5:30, 4:11] = True


@pytest.mark.parametrize("pixels", [GREY, DEEP])
def test_png_there_and_back(tmp_path, pixels):
    write_png(tmp_path / "a.png", pixels)
    image = read_picture(tmp_path / "a.png")
    assert image.pixels.dtype == pixels.dtype and np.array_equal(image.pixels, pixels) and not image.repairs
    header = png_header(tmp_path / "a.png")
    assert (header.rows, header.columns, header.bits, header.channels) == (71, 94, pixels.itemsize * 8, 1)
    assert png_header(tmp_path) is None


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda grey: grey.convert("RGB"), "three equal channels"),
        (lambda grey: grey.convert("RGBA"), "alpha channel"),
        (lambda grey: grey.convert("LA"), "alpha channel"),
        (lambda grey: grey.convert("P"), "palette"),
    ],
)
def test_grey_in_other_clothes_is_the_same_grey(tmp_path, make, named):
    make(Image.fromarray(GREY)).save(tmp_path / "a.png")
    image = read_picture(tmp_path / "a.png")
    assert np.array_equal(image.pixels, GREY) and named in " ".join(image.repairs)


def test_colour_is_refused_and_a_marker_is_not(tmp_path):
    rgb = np.repeat(GREY[..., None], 3, -1)
    rgb[3:8, 4:9] = 255, 0, 0
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = read_picture(tmp_path / "a.png")
    assert image.pixels[5, 6] == 76 and np.array_equal(image.pixels[10:], GREY[10:]) and "coloured" in image.flags[0]
    rgb[:40, :, 1] //= 3
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with pytest.raises(UnreadableFileError, match="colour picture"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_obeyed_as_pillow_does(tmp_path, orientation):
    picture = Image.fromarray(GREY)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        wanted = np.asarray(ImageOps.exif_transpose(opened))
    image = read_picture(tmp_path / "a.png")
    assert np.array_equal(image.pixels, wanted) and len(image.repairs) == (orientation != 1)
    Image.fromarray(np.repeat(np.arange(71)[:, None] < 30, 94, 1)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", image.shape, image.turned)
    assert mask.inside.shape == image.shape and bool(mask.repairs or mask.flags) == (orientation != 1)


def test_damage_in_jpeg_is_seen(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(GREY).save(path, quality=90)
    whole = path.read_bytes()
    assert jpeg_damage(whole) is None and jpeg_damage(whole + b"trailing") is None
    assert read_picture(path).pixels.shape == GREY.shape
    Image.fromarray(GREY).save(path, progressive=True)
    assert jpeg_damage(path.read_bytes()) is None
    middle = len(whole) * 2 // 3
    assert jpeg_damage(whole[:middle]) == "no end"
    assert "C7" in jpeg_damage(whole[:middle] + b"\xff\xc7" + whole[middle + 2 :])
    path.write_bytes(whole[:middle])
    with pytest.raises(UnreadableFileError, match=r"cut short|damaged"):
        read_picture(path)


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.full((80, 90), 9, np.uint8), "blank"),
        (np.tile(np.array([0, 255], np.uint8), (80, 45)), "2 grey values"),
        (GREY[:50], "50 rows"),
        (np.tile(GREY, (6, 1)), "strip"),
    ],
)
def test_what_can_be_no_x_ray_is_refused(pixels, why):
    with pytest.raises(UnreadableFileError, match=why):
        check(Radiograph(pixels))


def test_a_tiny_range_is_kept_and_said():
    image = Radiograph(GREY.astype(np.uint16))
    check(image)
    assert np.array_equal(image.pixels, GREY) and "span only 3 to 249" in image.flags[0]
    check(whole := Radiograph(DEEP))
    assert whole.flags == []


def test_the_hash_is_of_shape_type_and_values():
    others = [GREY, GREY.T, GREY.astype(np.uint16), GREY.reshape(94, 71), GREY[::-1]]
    assert len({pixels_sha256(one) for one in others}) == 5
    assert pixels_sha256(np.asfortranarray(GREY)) == pixels_sha256(GREY)


@pytest.mark.parametrize(("value", "assumed"), [(255, False), (1, True), (90, True), (128, True)])
def test_two_values_are_a_mask(tmp_path, value, assumed):
    Image.fromarray((BOX * value).astype(np.uint8)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", BOX.shape)
    assert np.array_equal(mask.inside, BOX) and bool(mask.repairs) == assumed


def test_grey_edges_fall_to_either_side_and_are_counted(tmp_path):
    values = (BOX * 255).astype(np.uint8)
    values[5, 4:8], values[4, 4:7] = (127, 128, 200, 254), (126, 127, 129)
    Image.fromarray(np.repeat(values[..., None], 3, -1)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", BOX.shape)
    assert np.array_equal(mask.inside, values > 127)
    assert mask.repairs == ["7 grey pixels: above 127 is inside"]


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (BOX * 0, "empty"),
        (BOX * 0 + 255, "covers"),
        (BOX * 1 + np.eye(40, 30) * 2, "holds the values 0, 1, 2, 3"),
        (np.random.default_rng(0).integers(0, 255, (40, 30)), "a picture"),
        (np.zeros((30, 40)) + np.eye(30, 40) * 255, "another shape"),
    ],
)
def test_what_can_be_no_mask_is_refused(tmp_path, pixels, why):
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UnreadableFileError, match=why):
        read_mask(tmp_path / "m.png", BOX.shape)


@given(st.integers(2, 40), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_nearest_is_the_value_at_each_centre(base, up, down, seed):
    old, new = (base * down, (base + 3) * down), (base * up, (base + 3) * up)
    inside = np.random.default_rng(seed).random(old) < 0.5
    resized = resize_nearest(inside, new)
    for row, column in np.random.default_rng(seed).integers(0, new, (20, 2)):
        sizes = zip((row, column), old, new, strict=True)
        at = [int((index + 0.5) * n_old / n_new + 1e-9) for index, n_old, n_new in sizes]
        assert resized[row, column] == inside[*at]
    if up == down:
        assert np.array_equal(resized, inside)
