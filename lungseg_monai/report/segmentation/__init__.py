"""One page to look at a segmentation, case by case: `page.write_report`."""

from pathlib import Path


def write_report(out: Path, target: Path | None = None) -> Path:
    """Write the page of the segmentation in `out` (with segment.json), by default OUT/report.html; see page.py."""
    from lungseg_monai.report.segmentation.page import write_report

    return write_report(out, target)
