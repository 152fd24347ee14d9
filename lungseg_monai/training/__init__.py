"""What a bundle's training needs beside MONAI's engines: numbers, runs, checkpoints, curves, processes."""
