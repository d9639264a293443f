// Shows progress as it happens: while something on the page is marked as live, the page is fetched anew and its changed
// cells are put in place. The rows and the form stay, for Django's own scripts hold on to them.
"use strict";

const CELLS = "#result_list tbody td:not(.action-checkbox), #result_list tbody th, #generation_form .readonly";
const ROWS = "#result_list tbody .action-select";

const idsOf = (page) => [...page.querySelectorAll(ROWS)].map((box) => box.value).join();

async function refresh() {
  try {
    if (document.querySelector("[data-live]")) {
      const response = await fetch(location.href);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelectorAll(CELLS);
      const shown = document.querySelectorAll(CELLS);
      if (response.ok && fresh.length === shown.length && idsOf(page) === idsOf(document)) {
        shown.forEach((cell, index) => {
          if (cell.innerHTML !== fresh[index].innerHTML) cell.innerHTML = fresh[index].innerHTML;
        });
      } else if (response.ok && !document.querySelector(`${ROWS}:checked`)) {
        location.reload();
      }
    }
  } catch {
    // The server is away for a moment; the next look may find it.
  }
  setTimeout(refresh, 1000);
}

document.addEventListener("DOMContentLoaded", () => setTimeout(refresh, 1000));
