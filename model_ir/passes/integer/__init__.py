"""From a float network to one of integers only, after training: calibration, scales, rules for every operator."""
