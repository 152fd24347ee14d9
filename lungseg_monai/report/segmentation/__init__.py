"""One page to look at a segmentation, case by case: of CT `page.write_report`, of X-rays `radiographs.write_report`."""

from pathlib import Path


def write_report(out: Path, target: Path | None = None) -> Path:
    """Write the page of the segmentation in `out` (with segment.json), by default OUT/report.html; see page.py."""
    from lungseg_monai.report.segmentation import page, radiographs
    from lungseg_monai.report.segmentation.read import read_segmentation

    of = radiographs if radiographs.is_of_radiographs(read_segmentation(out)) else page
    return of.write_report(out, target)
