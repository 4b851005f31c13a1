"""The archive of what a maintainer needs to see of a run."""
