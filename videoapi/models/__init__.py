"""The rows."""

from videoapi.models.api_key import APIKey, issue_key
from videoapi.models.generation import BY_CLIENT, Generation
from videoapi.models.queryset import State
from videoapi.models.tally import Tally
from videoapi.models.text import storable
from videoapi.models.webhook import Event, WebhookDelivery
from videoapi.models.worker import EVERY_MODEL, Worker, slot_name

__all__ = [
    "BY_CLIENT",
    "EVERY_MODEL",
    "APIKey",
    "Event",
    "Generation",
    "State",
    "Tally",
    "WebhookDelivery",
    "Worker",
    "issue_key",
    "slot_name",
    "storable",
]
