"""The store on the command line: listed, verified, pruned, explained, and models exported from it."""
