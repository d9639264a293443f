"""A loaded pipeline at work on one request after the other: in the model's process alone."""
