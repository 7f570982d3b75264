"""The loops that NumPy cannot do in one pass, in C: each has a twin in NumPy that gives the same counts or values."""
