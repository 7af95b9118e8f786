"""What a flipped bit of a stored weight does to a quantised network, which bits are worst, and what protects them."""
