"""The embedded model of videoapi: a small text-to-video diffusion model, trained by `videoapi_starter.train`."""
