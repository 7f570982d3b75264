"""What is remembered: tables, queries, migrations; ``store.MonitoringStore`` is all that other rooms need.

A job takes its window in ``claims`` and becomes visible in ``commits``, both only while it has the newest token.
"""
