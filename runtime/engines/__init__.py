"""Back-ends that run a model."""
