"""The `stablediffusion` backend of videoapi. Importing this package does not load the library."""
