"""Where row results go."""
