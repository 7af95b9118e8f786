"""What people look at: the run record, one HTML page, terminal tables. Reads result types only."""
