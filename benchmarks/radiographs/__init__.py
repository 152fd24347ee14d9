"""How well lungs are found in radiographs that are not like those of training: `python -m benchmarks.radiographs`."""
