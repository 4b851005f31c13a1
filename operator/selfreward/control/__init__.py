"""The operator: watches runs and their children, and brings each run one decision further whenever something happens.

Level-triggered: an event says only which run to look at. What is decided is :mod:`selfreward.plan`'s; what is done is
:mod:`selfreward.cluster.kubernetes`'s; here is when, in which order, and by which of several replicas.
"""
