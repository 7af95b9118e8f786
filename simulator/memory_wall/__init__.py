"""The memory wall: how fast peaks, bandwidths and models grow, and when a network becomes bandwidth-bound."""
