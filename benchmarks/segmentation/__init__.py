"""Time and memory of `lungseg segment`, beside other ways to find lungs."""
