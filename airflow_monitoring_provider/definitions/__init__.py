"""What to monitor: definitions, their payload forms, schedules and windows."""
