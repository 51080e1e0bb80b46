"""The pages of the dashboard, one file each; each has `show(view)`."""
