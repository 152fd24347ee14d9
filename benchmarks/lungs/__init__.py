"""How well `lungseg segment` finds lungs, and where it fails: made chests, another generator's, and real ones."""
