"""A paper's tables printed again beside its own figures: what to train and to print is data, a plan for each paper."""
