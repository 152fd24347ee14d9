"""Where a bundle lies, by its name."""

from difflib import get_close_matches
from pathlib import Path

from lungseg_monai.errors import UsageError

INSTALLED = Path(__file__).parent / "_bundles"
CHECKOUT = Path(__file__).parents[1] / "bundles"


def bundle_path(name: str) -> Path:
    """The folder of a bundle: the copy that was installed with the package, else the one in the checkout.

    Raises UsageError, with the names that are known, when there is none of this name.
    """
    for folder in (INSTALLED, CHECKOUT):
        if name and (folder / name / "configs").is_dir():
            return folder / name
    known = sorted({path.parent.name for folder in (INSTALLED, CHECKOUT) for path in folder.glob("*/configs")})
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"there is no bundle {name!r}; there are: {', '.join(known) or 'none'}.{hint}")
