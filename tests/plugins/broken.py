"""A plugin that does not import."""

raise ImportError("no module named 'left_pad'")
