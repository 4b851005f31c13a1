"""Reports on runs: artifacts and status read into one typed model, and that model as a page or a table.

It reads through the store alone, so it neither knows nor asks where the run's workloads were: a run of this machine,
of a cluster, half-way or finished is the same to it. It must not import torch, and must not change anything.
"""
