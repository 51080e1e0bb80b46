"""Races on recorded tables that ship: a folder for each table, with the files that `tuition race` writes.

    tuition race --table micro@1 --repeats 3 --budgets 1R,2R,3R --to benchmarks/measured_planners/micro@1

That table is incomplete, so Tuition's own planner, which has a model of the whole space, is not among them.
"""
