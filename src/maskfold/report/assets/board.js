(() => {
  const table = document.getElementById("board");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("search");

  // What is not known comes last, whichever way the table is sorted.
  const sort = (place, descending) => {
    const text = heads[place].dataset.words === "1";
    const sign = descending ? -1 : 1;
    const value = (row) => row.cells[place].dataset.value;
    const compare = (a, b) => text ? a.localeCompare(b) : Number(a) - Number(b);
    const known = rows.filter((row) => value(row) !== "");
    known.sort((a, b) => sign * compare(value(a), value(b)));
    body.append(...known, ...rows.filter((row) => value(row) === ""));
    heads.forEach((head, number) => {
      head.setAttribute("aria-sort", number !== place ? "none" : descending ? "descending" : "ascending");
    });
  };
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const now = head.getAttribute("aria-sort");
    sort(place, now === "none" ? head.dataset.words !== "1" : now === "ascending");
  }));

  const filter = () => {
    const word = search.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word);
    document.getElementById("shown").value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} runs`;
  };
  search.addEventListener("input", filter);
  filter();
})();
