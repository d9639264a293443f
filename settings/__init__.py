"""Django settings. Only this package reads the environment; every variable has a line in the README."""
