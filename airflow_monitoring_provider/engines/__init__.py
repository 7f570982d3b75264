"""From rows to a profile: which columns (``plans``), which rows count (``screen``), what is counted (``arrow``)."""
