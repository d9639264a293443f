"""What the admin's front page shows of this installation."""

from __future__ import annotations

from typing import Any

from django import template

from videoapi.engine.registry import get_catalog

register = template.Library()


@register.inclusion_tag("admin/installation.html")
def installation() -> dict[str, Any]:
    """Plugins with their models or their fault, and what the operator should mend."""
    catalog = get_catalog()
    plugins = [
        (plugin, [entry.spec for entry in catalog if entry.plugin.name == plugin.name])
        for plugin in catalog.plugins.all
    ]
    return {"plugins": plugins, "problems": catalog.problems}
