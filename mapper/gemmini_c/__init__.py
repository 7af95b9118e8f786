"""The chosen schedule as a C program for a real Gemmini."""
