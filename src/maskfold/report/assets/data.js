(() => {
  // Long lists are shown in pages of 50; what filters leave out is in none of them.
  const SIZE = 50;
  for (const list of document.querySelectorAll("[data-paged]")) {
    const items = [...list.children];
    const filters = [...document.querySelectorAll(`[data-filters="${list.id}"] select`)];
    if (items.length <= SIZE && !filters.length) continue;
    let first = 0;
    const bar = document.createElement("div");
    bar.className = "more";
    const [back, on] = ["previous", "next"].map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      return button;
    });
    const said = document.createElement("output");
    said.setAttribute("aria-live", "polite");
    bar.append(back, said, on);
    const place = list.matches("tbody") ? list.closest("table").parentElement : list;
    place.after(bar);
    const fits = (item) => filters.every(({ value, dataset }) => !value
      || item.dataset[dataset.fact].split("\n").includes(value));
    const show = () => {
      const fitting = items.filter(fits);
      first = Math.max(0, Math.min(first, Math.floor(Math.max(0, fitting.length - 1) / SIZE) * SIZE));
      const shown = new Set(fitting.slice(first, first + SIZE));
      items.forEach((item) => { item.hidden = !shown.has(item); });
      const range = fitting.length ? `${first + 1} to ${first + shown.size} of ` : "";
      said.value = `${range}${fitting.length} ${list.dataset.paged}`;
      back.disabled = first === 0;
      on.disabled = first + SIZE >= fitting.length;
    };
    back.addEventListener("click", () => { first -= SIZE; show(); });
    on.addEventListener("click", () => { first += SIZE; show(); });
    filters.forEach((filter) => filter.addEventListener("input", () => { first = 0; show(); }));
    show();
  }
})();
