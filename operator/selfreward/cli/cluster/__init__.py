"""A cluster as commands see it, through the kubeconfig."""
