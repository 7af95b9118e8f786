"""Any memory hierarchy: its description, a mapping onto it, and what that mapping costs."""
