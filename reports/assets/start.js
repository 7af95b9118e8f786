// Puts any page together: figures, sortable tables, filters. The last script to run.

drawFigures();
document.querySelectorAll("table").forEach((table) => { if (table.tHead) makeSortable(table); });
document.querySelectorAll("[data-filter]").forEach(makeFilter);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawFigures);
document.documentElement.dataset.ready = "yes";
