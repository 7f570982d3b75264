"""From rows to a profile."""
