"""This machine as commands see it: its GPUs, disks, environment and what it fills into a run."""
