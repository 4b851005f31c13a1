"""What runs beside a kept server in its pod, and brings it models (`python -m selfreward_steps agent`)."""
