"""From values to statuses: thresholds, monitor states, alerts. Pure functions."""
