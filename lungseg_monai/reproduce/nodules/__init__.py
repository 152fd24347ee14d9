"""Khan et al. (2021): regions of CT slices told apart as nodule or none, by features and classifiers."""
