"""Radiographs as numpy (rows, columns): what is done to them before the network and to its map after. Without torch."""
