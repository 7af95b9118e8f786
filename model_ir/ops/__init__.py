"""One class per operator kind, grouped by what they do to data."""
