// Puts the mapping-space page together: figures and sortable tables.

drawFigures();
document.querySelectorAll("table").forEach((table) => { if (table.tHead) makeSortable(table); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawFigures);
document.documentElement.dataset.ready = "yes";
