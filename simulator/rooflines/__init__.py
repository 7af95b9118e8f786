"""Rooflines of any machine: operators' work, bytes at every level of its memory, and what it can attain of its peak.

Plain arithmetic on numbers or on numpy arrays of them: one answer, or ten thousand at once.
"""
