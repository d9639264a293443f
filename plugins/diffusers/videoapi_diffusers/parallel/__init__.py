"""One video calculated by several processes at once, each with a GPU of its own.

The model's process is the first of them and starts the others. They hold the same weights and make the same calls; only
in the layers of attention each has a part of the video, which diffusers' context parallelism sees to.
"""
