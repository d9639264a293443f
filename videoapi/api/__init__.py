"""The views: the only code that knows HTTP."""
