"use strict";
// Sorting by a click on a column's head, filtering by words. A cell's data-value is what its column sorts by.

function cellKey(row, column) {
  const cell = row.cells[column];
  if (!("value" in cell.dataset)) return cell.textContent;
  return cell.dataset.value === "" ? null : Number(cell.dataset.value);
}

function compareKeys(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}

function sortTable(table, column, descending) {
  const rows = Array.from(table.tBodies[0].rows, (row) => [cellKey(row, column), row]);
  const measured = rows.filter(([key]) => key !== null).sort(([a], [b]) => (descending ? compareKeys(b, a) : compareKeys(a, b)));
  const unmeasured = rows.filter(([key]) => key === null);
  table.tBodies[0].append(...measured.concat(unmeasured).map(([, row]) => row));
}

function makeSortable(table) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : head.classList.contains("number");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortTable(table, column, descending);
    });
  });
}

function makeFilter(input) {
  const rows = Array.from(document.getElementById(input.dataset.filter).tBodies[0].rows);
  const texts = rows.map((row) => Array.from(row.cells, (cell) => `${cell.textContent} ${cell.title}`).join(" ").toLowerCase());
  const shown = document.querySelector(`[data-shown="${input.dataset.filter}"]`);
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row, index) => { row.hidden = !words.every((word) => texts[index].includes(word)); });
    const left = rows.filter((row) => !row.hidden).length;
    shown.textContent = `${left.toLocaleString("en")} of ${rows.length.toLocaleString("en")} ${input.dataset.noun ?? "layers"}`;
  };
  input.addEventListener("input", apply);
  apply();
}
