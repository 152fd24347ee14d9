"""Our converter beside others on the same made cases: `python -m benchmarks.peers`."""
