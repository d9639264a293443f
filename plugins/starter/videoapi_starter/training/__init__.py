"""How the starter's weights were made. See README.md in this folder for the commands, in order."""
