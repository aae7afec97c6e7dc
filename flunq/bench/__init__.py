"""``flunq bench``: measures a cluster of real processes, and the limits of the machine beside it.

A scenario is one module of :mod:`flunq.bench.scenarios`; :mod:`flunq.bench.runner` knows them all.
Nothing here asserts a time: figures are printed, with what the machine itself can do at most.
"""
