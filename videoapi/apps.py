from django.apps import AppConfig


class VideoAPIConfig(AppConfig):
    name = "videoapi"
    verbose_name = "Video generation"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from videoapi import checks  # noqa: F401  (registers the system checks)
