"""A look at every prepared case: facts, flags and pictures, as one HTML page and as JSON."""
