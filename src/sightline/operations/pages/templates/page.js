// Tables sort by a click on a heading; the colours are the system's until the button chooses others, which is remembered.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const order = (row) => row.cells[place].dataset.order;
      const rows = [...table.tBodies[0].rows];
      const numbers = rows.every((row) => order(row) !== "" && !Number.isNaN(Number(order(row))));
      const compare = numbers
        ? (one, other) => Number(order(one)) - Number(order(other))
        : (one, other) => order(one).localeCompare(order(other));
      rows.sort((one, other) => (falling ? compare(other, one) : compare(one, other)));
      table.tBodies[0].append(...rows);
    });
  });
}
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = document.getElementById("theme");
const remembered = {
  get: () => { try { return localStorage.getItem("sightline-theme"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("sightline-theme", value); } catch { /* a page without a store */ } },
};
const show = (value) => {
  const chosen = value ?? (dark.matches ? "dark" : "light");
  if (value) document.documentElement.dataset.theme = value;
  theme.textContent = chosen === "dark" ? "Light colours" : "Dark colours";
  theme.dataset.next = chosen === "dark" ? "light" : "dark";
};
theme.hidden = false;
show(remembered.get());
dark.addEventListener("change", () => show(remembered.get()));
theme.addEventListener("click", () => { remembered.set(theme.dataset.next); show(theme.dataset.next); });
addEventListener("beforeprint", () => { for (const part of document.querySelectorAll("details")) part.open = true; });
