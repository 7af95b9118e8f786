"""What firmware costs before any vendor tool runs: LUTs, flip-flops, DSPs, latency, with the model's error."""
