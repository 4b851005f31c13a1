"""SelfReward's control plane: a self-rewarding run, decided on purely and walked by two clusters.

Rooms, lower never importing higher: api < plan < render < cluster < control < cli. No room imports torch.
"""

__version__ = "0.1.0"
