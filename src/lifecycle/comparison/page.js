for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], bodies = [...table.tBodies];
  const key = (row, at) => row.cells[at].dataset.v ?? row.cells[at].textContent.toLowerCase();
  heads.forEach((head, at) => {
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const body of bodies) {  // runs of other rows are another group, which keeps its heading
        const rows = [...body.rows].filter((row) => !row.classList.contains("group")).sort((one, two) => {
          const a = key(one, at), b = key(two, at);
          if (a === "" || b === "") return (a === "") - (b === "");  // what has no value comes last, either way
          const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
          return down ? -order : order;
        });
        body.append(...rows);
      }
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
