"""Every encoding of CT gives the numbers that were encoded, whatever the sign, the bits and the size; or a reason."""

import numpy as np
import pytest
from dicom_factory import Ct, ct_slice, save
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    MPEG2MPML,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from data_prep.decode import PLUGINS
from data_prep.errors import SeriesError, UnreadableFileError
from data_prep.files import read_header
from data_prep.pixels import loss_notes, read_stored
from data_prep.slices import SLICE_TAGS, slice_header

SHAPE = (33, 70, 1)  # odd, and no rows of whole words
BITS = [(8, 8), (16, 10), (16, 12), (16, 15), (16, 16)]
HTJ2K_IN_J2K = {HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K}


def header_of(path):
    return slice_header(path, read_header(path, SLICE_TAGS))


def values(signed, bits, shape=SHAPE, seed=0):
    low = -(2 ** (bits - 1)) if signed else 0
    found = np.random.default_rng(seed).integers(low, low + 2**bits, shape)
    found[0, :2, 0] = low, low + 2**bits - 1
    found[:, shape[1] // 2 :] = np.linspace(low, low + 2**bits - 1, shape[0]).astype(int)[:, None, None]
    return found


def plain(path, stored, signed, allocated, bits, **tags):
    ct = Ct(stored.shape, tags={"BitsAllocated": allocated, "BitsStored": bits, "HighBit": bits - 1, **tags})
    data = ct_slice(ct, 0, stored, f"<{'i' if signed else 'u'}{allocated // 8}")
    data.PixelData += bytes(len(data.PixelData) % 2)
    data.PixelRepresentation = int(signed)
    return save(data, path)


def by_pydicom(source, target, syntax, **options):
    data = dcmread(source)
    data.compress(syntax, **options)
    data.save_as(target)
    return target


def by_gdcm(source, target, syntax):
    import gdcm

    kinds = {JPEGLossless: "JPEGLosslessProcess14", JPEGLosslessSV1: "JPEGLosslessProcess14_1"}
    kinds |= {JPEG2000Lossless: "JPEG2000Lossless", JPEGLSLossless: "JPEGLSLossless"}
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(source))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kinds[syntax])))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetFileName(str(target))
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target


ENCODERS = {
    "RLE": lambda a, b: by_pydicom(a, b, RLELossless, encoding_plugin="pydicom"),
    "JPEG-LS": lambda a, b: by_pydicom(a, b, JPEGLSLossless),
    "JPEG-LS near 0": lambda a, b: by_pydicom(a, b, JPEGLSNearLossless, jls_error=0),
    "JPEG-LS by gdcm": lambda a, b: by_gdcm(a, b, JPEGLSLossless),
    "JPEG 2000": lambda a, b: by_pydicom(a, b, JPEG2000Lossless),
    "JPEG 2000 by gdcm": lambda a, b: by_gdcm(a, b, JPEG2000Lossless),
    "JPEG lossless": lambda a, b: by_gdcm(a, b, JPEGLossless),
    "JPEG lossless SV1": lambda a, b: by_gdcm(a, b, JPEGLosslessSV1),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("allocated", "bits"), BITS)
def test_lossless_encodings_give_the_same_numbers(tmp_path, encoder, signed, allocated, bits):
    stored = values(signed, bits)
    source = plain(tmp_path / "plain", stored, signed, allocated, bits)
    path = ENCODERS[encoder](source, tmp_path / "x")
    header = header_of(path)
    assert header.pixels.transfer_syntax in PLUGINS
    found = read_stored(header)
    assert np.array_equal(found, stored[:, :, 0].T)
    assert found.dtype == np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


@pytest.mark.parametrize("error", [1, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_near_lossless_stays_within_its_bound_and_is_reported(tmp_path, error, signed):
    stored = values(signed, 12)
    if signed:
        stored = np.clip(stored, -2000, 2000)
    source = plain(tmp_path / "plain", stored, signed, 16, 12)
    header = header_of(by_pydicom(source, tmp_path / "x", JPEGLSNearLossless, jls_error=error))
    apart = np.abs(read_stored(header).astype(int) - stored[:, :, 0].T)
    assert 0 < apart.max() <= error
    assert "lose" in loss_notes([header])[0] or "loss" in loss_notes([header])[0]


@pytest.mark.parametrize("end", [-2048, 2047])
def test_near_lossless_that_may_swap_the_ends_of_the_range_is_refused(tmp_path, end):
    stored = np.clip(values(True, 12), -2000, 2000)
    stored[3:9] = end
    source = plain(tmp_path / "plain", stored, True, 16, 12)
    with pytest.raises(SeriesError, match="lowest into the highest"):
        read_stored(header_of(by_pydicom(source, tmp_path / "x", JPEGLSNearLossless, jls_error=2)))


def test_lossy_jpeg_2000_is_close_and_reported(tmp_path):
    smooth = np.add.outer(np.arange(96) * 9, np.arange(128) * 5)[:, :, None]
    source = plain(tmp_path / "plain", smooth, False, 16, 12)
    header = header_of(by_pydicom(source, tmp_path / "x", JPEG2000, j2k_cr=[8]))
    assert np.abs(read_stored(header).astype(int) - smooth[:, :, 0].T).max() <= 8
    assert len(loss_notes([header])) == 1


@pytest.mark.parametrize(("said", "notes"), [("01", 1), ("00", 0), (None, 0)])
def test_loss_that_is_recorded_is_reported_for_plain_pixels_too(tmp_path, said, notes):
    tags = {} if said is None else {"LossyImageCompression": said}
    header = header_of(plain(tmp_path / "x", values(False, 12), False, 16, 12, **tags))
    assert len(loss_notes([header, header])) == notes
    assert not notes or "2 slice(s)" in loss_notes([header, header])[0]


@pytest.mark.parametrize("syntax", sorted(HTJ2K_IN_J2K))
def test_htj2k_is_decoded_by_the_plugin_that_knows_it(syntax):
    from pydicom.pixels import get_decoder

    # No encoder at hand makes high throughput code blocks: what can be pinned is that the decoder is there.
    assert PLUGINS[syntax][0][0] in get_decoder(syntax).available_plugins


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_jpeg_2000_whose_codestream_has_no_sign(tmp_path, signed, bits):
    """Some writers encode the bit pattern of signed values as unsigned numbers of 16 bits."""
    stored = values(signed, bits)
    pattern = stored % 2**16
    source = plain(tmp_path / "plain", pattern, False, 16, 16)
    path = by_pydicom(source, tmp_path / "x", JPEG2000Lossless)
    data = dcmread(path)
    data.PixelRepresentation, data.BitsStored, data.HighBit = int(signed), bits, bits - 1
    data.save_as(path)
    assert np.array_equal(read_stored(header_of(path)), stored[:, :, 0].T)


@pytest.mark.parametrize(
    ("keyword", "value", "named"),
    [
        ("Rows", 60, "70 rows"),
        ("Columns", 34, "33 columns"),
        ("BitsAllocated", 8, "12 bits|16 bits|BitsAllocated"),
        ("PixelRepresentation", 0, "is signed"),
    ],
)
def test_a_header_that_contradicts_its_compressed_image_is_refused(tmp_path, keyword, value, named):
    source = plain(tmp_path / "plain", values(True, 12), True, 16, 12)
    path = by_pydicom(source, tmp_path / "x", JPEG2000Lossless)
    data = dcmread(path)
    setattr(data, keyword, value)
    data.save_as(path)
    with pytest.raises((SeriesError, UnreadableFileError), match=named):
        read_stored(header_of(path))


@pytest.mark.parametrize("encoder", ["RLE", "JPEG-LS", "JPEG 2000", "JPEG lossless"])
def test_damaged_fragments_are_refused_never_wrong(tmp_path, encoder):
    stored = values(True, 12)
    path = ENCODERS[encoder](plain(tmp_path / "plain", stored, True, 16, 12), tmp_path / "x")
    content = path.read_bytes()
    for cut in (5, 60, 400, len(content) // 2):
        path.write_bytes(content[:-cut])
        try:
            found = read_stored(header_of(path))
        except UnreadableFileError:
            continue
        assert np.array_equal(found, stored[:, :, 0].T), cut


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, MPEG2MPML])
def test_encodings_that_hold_no_ct_are_refused_by_name(tmp_path, syntax):
    data = ct_slice(Ct(), 0, Ct().coded())
    data.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    with pytest.raises(SeriesError, match=r"8 or 12 bits|no encoding of CT"):
        read_stored(header_of(save(data, tmp_path / "x", syntax)))


def test_a_missing_decoder_names_what_to_install(tmp_path, monkeypatch):
    path = ENCODERS["JPEG-LS"](plain(tmp_path / "plain", values(False, 12), False, 16, 12), tmp_path / "x")
    monkeypatch.setitem(PLUGINS, JPEGLSLossless, (("none of these",), PLUGINS[JPEGLSLossless][1]))
    with pytest.raises(SeriesError, match="pip install pyjpegls"):
        read_stored(header_of(path))


def test_one_frame_in_several_fragments(tmp_path):
    stored = values(False, 12)
    path = ENCODERS["JPEG 2000"](plain(tmp_path / "plain", stored, False, 16, 12), tmp_path / "x")
    data = dcmread(path)
    (frame,) = generate_frames(data.PixelData, number_of_frames=1)
    data.PixelData = encapsulate([frame], fragments_per_frame=4)
    data.save_as(path)
    assert np.array_equal(read_stored(header_of(path)), stored[:, :, 0].T)


def test_real_slice_in_sixteen_encodings(real_data):
    folder = real_data / "dicom-awkward/one-slice-many-encodings"
    truth = read_stored(header_of(folder / "CTImage.dcm"))
    refused, apart = [], {}
    for path in sorted(folder.glob("*.dcm")):
        header = header_of(path)
        syntax = header.pixels.transfer_syntax
        try:
            apart[syntax] = np.abs(read_stored(header).astype(int) - truth).max()
        except SeriesError:
            refused.append(syntax.removeprefix("1.2.840.10008.1.2.4."))
    assert sorted(refused) == ["50", "51", "53", "55"]
    lossy = {syntax: int(most) for syntax, most in apart.items() if most}
    assert set(lossy) == {JPEGLSNearLossless, JPEG2000} and max(lossy.values()) <= 10
