// Shows progress as it happens: while something on the page is marked as live, its table or form is fetched anew.
"use strict";

const AREAS = "#changelist-form .results, #generation_form fieldset";

async function refresh() {
  if (document.querySelector("[data-live]") && !document.querySelector(".action-select:checked")) {
    try {
      const response = await fetch(location.href);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelectorAll(AREAS);
      const shown = document.querySelectorAll(AREAS);
      if (response.ok && fresh.length === shown.length) {
        shown.forEach((area, index) => area.replaceWith(fresh[index]));
      }
    } catch {
      // The server is away for a moment; the next look may find it.
    }
  }
  setTimeout(refresh, 1000);
}

document.addEventListener("DOMContentLoaded", () => setTimeout(refresh, 1000));
