"""Where row results go: tables and files, written whole or not at all, and by the newest attempt only."""
