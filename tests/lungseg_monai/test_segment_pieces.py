"""What lies beside the body is no lung; what the image cuts still is."""

import numpy as np

from lungseg_monai.segment.body import body_of
from lungseg_monai.segment.pieces import between_body, within_body

MM = 3.0


def scan():
    """A body with a lung in it, off-centre in air, and foam in a thin shell beside it: (hu, lung, foam)."""
    hu = np.full((60, 44, 20), -1000, np.float32)
    hu[22:56, 6:38], lung = 40, np.zeros(hu.shape, np.uint8)
    lung[28:48, 12:31, 3:18] = 1
    hu[lung > 0] = -850
    foam = np.zeros_like(lung)
    hu[3:20, 9:30], foam[4:19, 10:29] = -100, 1
    hu[foam > 0] = -850
    return hu, lung, foam


def test_foam_beside_the_body_goes_and_lung_stays():
    hu, lung, foam = scan()
    np.testing.assert_array_equal(within_body(lung | foam, between_body(body_of(hu, (MM,) * 3))), lung)


def test_a_lung_that_the_image_cuts_stays():
    hu, lung, _ = scan()
    for cut in (np.s_[36:], np.s_[24:40], np.s_[22:, 18:], np.s_[24:, :24], np.s_[30:, :, 5:12]):
        kept = within_body(lung[cut], between_body(body_of(hu[cut], (MM,) * 3)))
        np.testing.assert_array_equal(kept, lung[cut])


def test_turning_the_body_over_changes_nothing():
    hu, lung, foam = scan()
    for axis in (0, 1):
        turned = within_body(np.flip(lung | foam, axis), between_body(body_of(np.flip(hu, axis), (MM,) * 3)))
        np.testing.assert_array_equal(turned, np.flip(lung, axis))


def test_an_image_of_lung_alone_stays_as_it_is():
    hu, mask = np.full((12, 10, 8), -850, np.float32), np.ones((12, 10, 8), np.uint8)
    np.testing.assert_array_equal(within_body(mask, between_body(body_of(hu, (MM,) * 3))), mask)
