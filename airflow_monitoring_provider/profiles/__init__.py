"""What rows are reduced to, how two reductions merge, and how they are stored."""
