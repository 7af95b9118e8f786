"""Mapping one loop nest onto any memory hierarchy: integer program with proof, search, enumeration."""
