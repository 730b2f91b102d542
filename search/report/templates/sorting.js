for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const value = (row) => Number(row.cells[column].dataset.v);
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => direction * (value(a) - value(b)) || 0);
    table.tBodies[0].append(...rows);
    for (const other of heads) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  }));
}
