"""The code inside the pods: one module a step, run as ``python -m selfreward_steps STEP``.

The control plane imports :mod:`selfreward_steps.contract` and, to see what is committed,
:mod:`selfreward_steps.store`; nothing else of this package, so it never needs torch.
"""
