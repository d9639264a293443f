from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from videoapi.engine.registry import get_catalog


class Command(BaseCommand):
    help = "List the installed backend plugins, their models, and what is wrong with them."

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = get_catalog()
        for plugin in catalog.plugins.all:
            self.stdout.write(f"{plugin.name}  ({plugin.distribution} {plugin.version})")
            if plugin.error:
                self.stdout.write(self.style.ERROR(f"  does not load: {plugin.error}"))
            for entry in catalog:
                if entry.plugin == plugin:
                    aliases = f" (also {', '.join(entry.spec.aliases)})" if entry.spec.aliases else ""
                    modes = ", ".join(sorted(entry.spec.modes))
                    self.stdout.write(f"  {entry.spec.name}{aliases}: {modes}")
        if not catalog.plugins.all:
            self.stdout.write("No plugin is installed. Try: pip install videoapi-starter")
        for problem in catalog.problems:
            self.stdout.write(self.style.WARNING(f"{problem.message}\n  {problem.hint}"))
