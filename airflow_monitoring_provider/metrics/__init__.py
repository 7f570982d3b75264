"""What two profiles say of each other: drift, data quality, performance. Pure functions, no status.

``compare`` calls them all. Formulas such as PSI stand in ``distances``, tests in ``significance``, the cells both sides
are counted in come from ``binning`` and ``cells``.
"""
