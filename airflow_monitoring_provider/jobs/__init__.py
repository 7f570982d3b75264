"""The use cases: run a job, evaluate it, keep its baseline."""
