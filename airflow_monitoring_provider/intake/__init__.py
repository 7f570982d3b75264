"""Where rows come from: tables, queries and files, as Arrow record batches in a stable order and constant memory."""
