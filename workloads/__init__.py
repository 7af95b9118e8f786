"""Networks worth studying, as builders whose sizes are data; `workloads.catalogue` is the table of them."""
