"use strict";
(() => {
  const grid = document.getElementById("cards");
  if (!grid) return;
  const cards = [...grid.children];
  const control = (name) => document.getElementById(name);
  const controls = ["reason", "fold", "sort", "order", "search"].map(control);
  const dialog = control("zoom");
  let current = null;

  // The photograph below the errors is that of the first panel: it is in the file once.
  const layErrors = (card) => {
    const panel = card.querySelector(".errors");
    const errors = panel.querySelector("img");
    const photograph = card.querySelector(".image img").cloneNode();
    photograph.alt = "";
    errors.className = "over";
    panel.prepend(photograph);
  };
  cards.forEach(layErrors);

  const shown = () => [...grid.children].filter((card) => !card.hidden);
  const arrange = () => {
    const [reason, fold, sort, order, search] = controls.map((element) => element.value);
    const value = (card) => sort === "id" ? card.dataset.id : Number(card.dataset[sort]);
    const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
    for (const card of cards) {
      const data = card.dataset;
      card.hidden = (reason && !data.reasons.split(",").includes(reason)) || (fold && data.fold !== fold)
        || !data.id.toLowerCase().includes(search.toLowerCase());
    }
    grid.append(...[...cards].sort((a, b) => Number(order) * compare(value(a), value(b))));
    control("shown").value = `${shown().length} of ${cards.length} images`;
  };
  controls.forEach((element) => element.addEventListener("input", arrange));

  const zoom = (card) => {
    current = card;
    control("zoom-title").textContent = card.dataset.id;
    control("zoom-facts").textContent = card.querySelector("p").innerText || card.querySelector("p").textContent;
    control("zoom-pictures").replaceChildren(...[...card.querySelectorAll(".panel")].map((panel) => panel.cloneNode(true)));
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const list = shown().includes(current) ? shown() : cards;
    zoom(list[(list.indexOf(current) + by + list.length) % list.length]);
  };
  grid.addEventListener("click", (event) => {
    if (event.target.closest(".pictures")) zoom(event.target.closest(".card"));
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.dataset.step) step(Number(button.dataset.step));
    else if (button || event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.addEventListener("click", (event) => {
    const name = event.target.dataset && event.target.dataset.show;
    if (name !== undefined) zoom(cards.find((card) => card.dataset.id === name));
  });
})();
