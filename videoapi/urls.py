"""The routes. LocalAI's are at the root, OpenAI's under /v1."""

from django.contrib import admin
from django.urls import path, re_path

from videoapi.api import errors, events, files, health, jobs, models, video

# With slashes, as on a hub, but for one at its end.
NAME = "(?P<name>.*[^/])"

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error

urlpatterns = [
    path("video", video.VideoView.as_view(), name="video"),
    path("video/<uuid:pk>", jobs.JobView.as_view(), name="job"),
    path("video/<uuid:pk>/events", events.EventsView.as_view(), name="events"),
    path("video/<uuid:pk>/preview", files.PreviewView.as_view(), name="preview"),
    path("generated-videos/<str:name>", files.VideoFileView.as_view(), name="generated-video"),
    path("thumbnails/<str:name>", files.ThumbnailView.as_view(), name="thumbnail"),
    path("v1/models", models.ModelListView.as_view(), name="models"),
    path("v1/models/capabilities", models.CapabilityView.as_view()),
    re_path(rf"^v1/models/{NAME}$", models.ModelView.as_view(), name="model"),
    path("models/<path:name>/load", models.ModelOrderView.as_view(action="load"), name="load"),
    path("models/<path:name>/unload", models.ModelOrderView.as_view(action="unload"), name="unload"),
    path("models", models.ModelListView.as_view()),
    re_path(rf"^models/{NAME}$", models.ModelView.as_view()),
    path("api/models/capabilities", models.CapabilityView.as_view(capability="FLAG_VIDEO")),
    path("healthz", health.HealthView.as_view(), name="healthz"),
    path("readyz", health.ReadyView.as_view(), name="readyz"),
    path("admin/", admin.site.urls),
]
