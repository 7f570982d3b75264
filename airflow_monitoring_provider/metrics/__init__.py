"""What two profiles say of each other: drift, data quality, performance. Pure functions, no status."""
