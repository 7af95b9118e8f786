"""Every published table and figure that the suite can regenerate: what was printed, as data, and ours beside it."""
