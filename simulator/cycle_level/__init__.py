"""The units of Gemmini, cycle by cycle: one compiled function each over one flat state, driven by `kernel`."""
