"""The routes. LocalAI's are at the root, OpenAI's under /v1."""

from django.contrib import admin
from django.urls import path, re_path

from videoapi.api import docs, errors, events, files, health, jobs, metrics, models, studio, video
from videoapi.api.openai import videos

# With slashes, as on a hub, but for one at its end.
NAME = "(?P<name>.*[^/])"

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error

urlpatterns = [
    path("", studio.StudioView.as_view(), name="studio"),
    path("video", video.VideoView.as_view(), name="video"),
    path("video/<uuid:pk>", jobs.JobView.as_view(), name="job"),
    path("video/<uuid:pk>/events", events.EventsView.as_view(), name="events"),
    path("video/<uuid:pk>/preview", files.PreviewView.as_view(), name="preview"),
    path("generated-videos/<str:name>", files.VideoFileView.as_view(), name="generated-video"),
    path("thumbnails/<str:name>", files.ThumbnailView.as_view(), name="thumbnail"),
    path("v1/videos", videos.VideosView.as_view(), name="openai-videos"),
    path("v1/videos/edits", videos.EditsView.as_view(), name="openai-edits"),
    path("v1/videos/extensions", videos.ExtensionsView.as_view(), name="openai-extensions"),
    path("v1/videos/<uuid:pk>", videos.VideoView.as_view(), name="openai-video"),
    path("v1/videos/<uuid:pk>/content", videos.ContentView.as_view(), name="openai-content"),
    path("v1/videos/<uuid:pk>/remix", videos.RemixView.as_view(), name="openai-remix"),
    path("v1/models", models.ModelListView.as_view(), name="models"),
    path("v1/models/capabilities", models.CapabilityView.as_view()),
    re_path(rf"^v1/models/{NAME}$", models.ModelView.as_view(), name="model"),
    path("models/<path:name>/load", models.LoadView.as_view(), name="load"),
    path("models/<path:name>/unload", models.UnloadView.as_view(), name="unload"),
    path("models", models.LocalAIModelListView.as_view()),
    re_path(rf"^models/{NAME}$", models.LocalAIModelView.as_view()),
    path("api/models/capabilities", models.LocalAICapabilityView.as_view()),
    path("healthz", health.HealthView.as_view(), name="healthz"),
    path("readyz", health.ReadyView.as_view(), name="readyz"),
    path("schema", docs.SchemaView.as_view(), name="schema"),
    path("docs", docs.DocsView.as_view(), name="docs"),
    path("metrics", metrics.MetricsView.as_view(), name="metrics"),
    path("admin/", admin.site.urls),
]
