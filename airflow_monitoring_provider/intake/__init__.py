"""Where rows come from: tables, queries and files, as Arrow record batches in a stable order and constant memory.

A new intake is a module with a class that keeps the promises of ``source.RowSource``, made in ``source.open_source``.
"""
