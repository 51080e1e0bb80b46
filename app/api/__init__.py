r"""The Python API: what `import tuition` gives. A function does what the command of its name does.

Keyword arguments are named as the command's options and have its defaults. Nothing is printed, unless `quiet=False`
asks for progress on standard error. Results lie in the same results folder, so that what a command has trained a
program reuses, and the other way round.

Errors are those of the command, each one line with the fix. What is wrong with the input is a ValueError, named where
it is raised (ScenarioError, AllocationError, StudyError, ...); what fails is a RuntimeError or an OSError. Ctrl-C
finishes the current block and raises KeyboardInterrupt; the same call resumes.

With `workers` above 1 of a search or of baselines, a program must guard its main part by
`if __name__ == "__main__":`, as for every use of multiprocessing.
"""
