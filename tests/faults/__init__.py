"""Faults: real processes are killed, frozen, cut off and starved while they run jobs, and the outcome is checked.

:mod:`world` makes databases, files and a store for one kind of job; :mod:`worker` is what a child process does in it;
:mod:`nemesis` does harm; :mod:`history` is what children wrote down before they died; :mod:`checker` reads databases,
files and history with none of the package's code and knows only the promises; :mod:`scenarios` are the faults by name.
Product code has no part in any of it: faults enter through engine events, signals, sockets and resource limits.
"""
