"""A whole Airflow: what a user does in a day, and what remains when its processes are killed, cut off and restarted.

:mod:`instance` is the Airflow, :mod:`parts` are its processes, :mod:`ledger` reads what store and output say with none
of the package's code, and :mod:`undisturbed` runs the same windows in order without Airflow.
"""
