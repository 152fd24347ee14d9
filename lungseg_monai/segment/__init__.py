"""From an image to masks: what `lungseg segment` and `Segmenter` do. Nothing here imports torch or MONAI at the top."""
