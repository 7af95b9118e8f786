// Puts the page of a plan together: figures, sortable tables, a filter.

drawFigures();
document.querySelectorAll("table").forEach((table) => { if (table.tHead) makeSortable(table); });
document.querySelectorAll("[data-filter]").forEach(makeFilter);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawFigures);
document.documentElement.dataset.ready = "yes";
