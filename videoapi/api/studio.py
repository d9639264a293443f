"""The page at `/`: a form for the models, and the videos. It asks the API as any client does."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from rest_framework.request import Request
from rest_framework.views import APIView

from videoapi.api.schema import operations

# A preview is shown from what was fetched with the key; an image to be sent, from the file itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StudioView(APIView):
    """It holds nothing that a key guards: everybody may see the page."""

    authentication_classes = ()
    permission_classes = ()

    @operations.get_studio
    def get(self, request: Request) -> HttpResponse:
        page = render(request, "videoapi/studio.html")
        page.headers["Content-Security-Policy"] = POLICY
        return page
