"""A view of generations and workers. Nothing can be edited; generations are cancelled and models unloaded."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from videoapi.engine.cancel import cancel
from videoapi.engine.orders import place
from videoapi.engine.storage import has_preview
from videoapi.models import APIKey, Event, Generation, WebhookDelivery, Worker

admin.site.site_header = admin.site.site_title = "videoapi"


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Rows are written by the engine alone."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions; the right to change what the forms only show."""
        return bool(request.user.has_perm(f"videoapi.change_{self.opts.model_name}"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Generation)
class GenerationAdmin(ReadOnlyAdmin):
    list_display = ("preview", "state", "model", "short_prompt", "progress", "size", "total", "created_at")
    list_display_links = ("preview", "short_prompt")
    list_filter = ("state", "model", "api_key", "error_code")
    actions = ("cancel_selected",)
    search_fields = ("id", "prompt", "error_message", "worker")
    date_hierarchy = "created_at"
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("player", "state", "progress", "error")}),
        ("Request", {"fields": ("id", "model", "prompt", "api_key", "request_fields", "warning_list")}),
        ("Time", {"fields": ("created_at", "started_at", "finished_at", "timing_table", "event_table")}),
        ("Worker", {"fields": ("worker", "attempt", "batch_size", "heartbeat_at", "cancel_requested")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        """Without the logs: they are long, and only the page of one generation shows one."""
        return super().get_queryset(request).defer("log")

    def get_fieldsets(self, request: HttpRequest, obj: Generation | None = None) -> Any:
        more: list[Any] = []
        if obj is not None and obj.webhook_url:
            more.append(("Webhooks", {"fields": ("webhook_url", "webhook_table")}))
        if obj is not None and obj.log:
            more.append(("Log", {"fields": ("printed",), "classes": ("collapse",)}))
        return [*super().get_fieldsets(request, obj), *more]

    class Media:
        js = ("videoapi/live.js",)

    @admin.action(description="Cancel the selected generations", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        rows = list(queryset)
        for row in rows:
            cancel(row)
        running = sum(not row.is_finished for row in rows)
        self.message_user(request, f"{len(rows)} asked for; {running} still run, until their next step.")

    @admin.display(description="")
    def preview(self, row: Generation) -> SafeString | str:
        if row.thumbnail:
            address = reverse("thumbnail", args=[f"{row.pk}.jpg"])
        elif has_preview(row):
            address = f"{reverse('preview', args=[row.pk])}?step={row.step}"
        else:
            return "–"
        return format_html('<img src="{}" alt="" style="height:48px;border-radius:4px">', address)

    @admin.display(description="video")
    def player(self, row: Generation) -> SafeString | str:
        if has_preview(row):
            return format_html('<img src="{}?step={}" alt="preview">', reverse("preview", args=[row.pk]), row.step)
        if not row.video:
            return "–"
        return format_html(
            '<video src="{}" controls loop playsinline preload="metadata" style="max-width:100%;max-height:60vh">'
            "</video>",
            reverse("generated-video", args=[f"{row.pk}.mp4"]),
        )

    @admin.display(description="prompt")
    def short_prompt(self, row: Generation) -> str:
        return row.prompt if len(row.prompt) <= 60 else f"{row.prompt[:59]}…"

    @admin.display(description="progress")
    def progress(self, row: Generation) -> SafeString | str:
        if row.is_finished:
            return "–"
        if not row.total_steps:
            said = f": {row.detail}" if row.detail else ""
            return format_html("<span data-live>{}{}</span>", row.phase or "–", said)
        return format_html(
            '<span data-live><progress max="{}" value="{}"></progress> {} {} of {}</span>',
            row.total_steps,
            row.step,
            row.phase,
            row.step,
            row.total_steps,
        )

    @admin.display(description="size")
    def size(self, row: Generation) -> str:
        return f"{row.width}x{row.height}, {row.num_frames} at {row.fps} fps"

    @admin.display(description="seconds")
    def total(self, row: Generation) -> str:
        seconds = row.all_timings().get("total")
        return "–" if seconds is None else f"{seconds:.1f}"

    @admin.display(description="error")
    def error(self, row: Generation) -> str:
        if not row.error_code:
            return "–"
        field = f" ({row.error_field})" if row.error_field else ""
        return f"{row.error_code}{field}: {row.error_message}"

    @admin.display(description="printed by the model's process")
    def printed(self, row: Generation) -> SafeString:
        return format_html('<pre style="margin:0;white-space:pre-wrap;overflow-wrap:anywhere">{}</pre>', row.log)

    @admin.display(description="parameters")
    def request_fields(self, row: Generation) -> SafeString:
        values = {
            "size": f"{row.width}x{row.height}",
            "num_frames": row.num_frames,
            "fps": row.fps,
            "seed": row.seed,
            **row.parameters,
        }
        return _table(values)

    @admin.display(description="warnings")
    def warning_list(self, row: Generation) -> str:
        return " ".join(row.warnings) or "–"

    @admin.display(description="seconds by phase")
    def timing_table(self, row: Generation) -> SafeString:
        return _table(row.all_timings())

    @admin.display(description="events")
    def event_table(self, row: Generation) -> SafeString:
        lines = ((event["at"][11:23], event["attempt"], event["status"], event["phase"] or "") for event in row.events)
        cells = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", lines)
        return format_html("<table><tr><th>UTC</th><th>attempt</th><th>status</th><th>phase</th></tr>{}</table>", cells)

    @admin.display(description="messages")
    def webhook_table(self, row: Generation) -> SafeString:
        lines = ((_link(each), each.attempts, each.outcome) for each in row.webhooks.order_by("pk"))
        cells = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", lines)
        return format_html("<table><tr><th>event</th><th>attempts</th><th>outcome</th></tr>{}</table>", cells)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    list_display = ("event", "generation", "receiver", "attempts", "outcome", "created_at")
    list_filter = ("event", ("delivered_at", admin.EmptyFieldListFilter))
    fields = (*list_display, "attempted_at", "delivered_at")
    search_fields = ("generation__id", "receiver")
    actions = ("send_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return super().get_queryset(request).select_related("generation").defer("generation__log")

    @admin.action(description="Send the selected webhooks again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        # A message about progress would be no news.
        deliveries = list(queryset.exclude(event=Event.PROGRESS))
        for delivery in deliveries:
            delivery.resend()
        self.message_user(request, f"{len(deliveries)} will be sent now.")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "slots", "loaded_models", "unavailable_models", "started_at", "last_seen")
    fields = (*list_display, "machine", "pid")
    actions = ("unload_models",)

    @admin.action(description="Unload the models of the selected workers", permissions=["operate"])
    def unload_models(self, request: HttpRequest, queryset: QuerySet[Worker]) -> None:
        for worker in queryset:
            place(worker, "unload")
        self.message_user(request, "Asked for; a worker that is busy unloads its model when it is done.")

    @admin.display(description="loaded")
    def loaded_models(self, row: Worker) -> str:
        return ", ".join(f"{each['model']} ({each['memory_mib']} MiB)" for each in row.loaded) or "–"

    @admin.display(description="unavailable")
    def unavailable_models(self, row: Worker) -> SafeString | str:
        return format_html_join("", "<div>{}: {}</div>", sorted(row.unavailable.items())) or "–"


@admin.register(APIKey)
class APIKeyAdmin(admin.ModelAdmin[APIKey]):
    """A key is made here, shown once, changed and revoked; it is never deleted."""

    list_display = ("name", "beginning", "may_generate", "may_read", "may_operate", "expires_at", "revoked")
    readonly_fields = ("beginning", "created_at")
    actions = ("renew_webhook_secrets",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.action(description="Make new secrets for the webhooks of the selected API keys", permissions=["change"])
    def renew_webhook_secrets(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> HttpResponse:
        rows = list(queryset)
        for row in rows:
            row.renew_webhook_secret()
            row.save(update_fields=["webhook_secret"])
        return self._show(request, rows, "New secrets for webhooks")

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        if not change:
            obj.key = obj.renew()
        obj.has_new_secret = not obj.webhook_secret and bool(not change or obj.webhook_url)
        if obj.has_new_secret:
            obj.renew_webhook_secret()
        super().save_model(request, obj, form, change)

    def response_change(self, request: HttpRequest, obj: APIKey) -> HttpResponse:
        if obj.has_new_secret:
            return self._show(request, [obj], "A secret for webhooks")
        return super().response_change(request, obj)

    def response_add(self, request: HttpRequest, obj: APIKey, post_url_continue: str | None = None) -> HttpResponse:
        return self._show(request, [obj], f"The key of {obj.name}")

    def _show(self, request: HttpRequest, rows: list[APIKey], title: str) -> HttpResponse:
        """The page with what has just been made; a message would keep it in a cookie or in the database."""
        context = {**self.admin_site.each_context(request), "title": title, "rows": rows}
        return TemplateResponse(request, "admin/api_key_made.html", context)


def _link(delivery: WebhookDelivery) -> SafeString:
    address = reverse("admin:videoapi_webhookdelivery_change", args=[delivery.pk])
    return format_html('<a href="{}">{}</a>', address, delivery.event)


def _table(values: dict[str, Any]) -> SafeString:
    rows = ((name, value if isinstance(value, str) else json.dumps(value)) for name, value in values.items())
    return format_html("<table>{}</table>", format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows))
