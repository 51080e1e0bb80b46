"""The pages of the dashboard, one file each; each has `show(view)`.

The folder is not called `pages`: beside its entry Streamlit takes every file in a folder of that name for a script.
"""
