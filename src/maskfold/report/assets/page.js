(() => {
  const grid = document.getElementById("cards");
  const cards = [...grid.children];
  const control = (name) => document.getElementById(name);
  const controls = ["reason", "fold", "sort", "order", "search"].map(control);
  const dialog = control("zoom");
  const looks = JSON.parse(control("looks").dataset.looks);
  const [FIRST, STEP] = [24, 48];
  const state = { heat: false, layer: 0, level: null, number: 0 };
  let current = null;
  let most = FIRST;

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

  let matching = cards;
  const shown = () => matching.slice(0, most);
  const arrange = () => {
    const [reason, fold, sort, order, search] = controls.map((element) => element.value);
    const value = (card) => sort === "id" ? card.dataset.id : Number(card.dataset[sort]);
    const compare = (a, b) => a < b ? -1 : a > b ? 1 : 0;
    const fits = ({ dataset: data }) => (!reason || data.reasons.split(",").includes(reason))
      && (!fold || data.fold === fold) && data.id.toLowerCase().includes(search.toLowerCase());
    const sorted = [...cards].sort((a, b) => Number(order) * compare(value(a), value(b)));
    matching = sorted.filter(fits);
    const visible = new Set(shown());
    cards.forEach((card) => { card.hidden = !visible.has(card); });
    grid.append(...sorted);
    control("shown").value = `${matching.length} of ${cards.length} images`;
    control("more").hidden = control("all").hidden = matching.length <= most;
    control("more").textContent = `${Math.min(STEP, matching.length - most)} more`;
    control("all").textContent = `all ${matching.length}`;
  };
  controls.forEach((element) => element.addEventListener("input", () => { most = FIRST; arrange(); }));
  control("more").addEventListener("click", () => { most += STEP; arrange(); });
  control("all").addEventListener("click", () => { most = cards.length; arrange(); });

  // Probabilities and truth of every pixel are in one picture, a layer below the other: see evidence.py.
  const known = new WeakMap();
  const evidence = async (card) => {
    if (!known.has(card)) {
      const image = new Image();
      image.src = card.dataset.evidence;
      await image.decode();
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const bytes = context.getImageData(0, 0, canvas.width, canvas.height).data;
      const values = new Uint8Array(bytes.length / 4);
      for (let i = 0; i < values.length; i++) values[i] = bytes[4 * i];
      known.set(card, { width: canvas.width, height: canvas.height / looks.layers.length, values });
    }
    return known.get(card);
  };
  const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  document.querySelector(".ramp").style.background = `linear-gradient(90deg, ${RAMP.map((colour) => `rgb(${colour})`)})`;
  const heat = Array.from({ length: looks.levels }, (_, level) => {
    const at = level / (looks.levels - 1) * (RAMP.length - 1);
    const [low, part] = [Math.min(RAMP.length - 2, Math.floor(at)), at - Math.min(RAMP.length - 2, Math.floor(at))];
    return [...RAMP[low].map((value, i) => Math.round(value + part * (RAMP[low + 1][i] - value))), 40 + Math.round(150 * level / looks.levels)];
  });
  const paint = (card, kind, found, colour) => {
    const panel = card.querySelector(`.panel.${kind}`);
    let canvas = panel.querySelector("canvas");
    if (!canvas) {
      canvas = document.createElement("canvas");
      canvas.className = "over";
      panel.insertBefore(canvas, panel.querySelector("svg, small"));
    }
    [canvas.width, canvas.height] = [found.width, found.height];
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(found.width, found.height);
    const first = state.layer * found.width * found.height;
    for (let i = 0; i < found.width * found.height; i++) {
      const [red, green, blue, opacity = 255] = colour(found.values[first + i]);
      pixels.data.set([red, green, blue, opacity], 4 * i);
    }
    context.putImageData(pixels, 0, 0);
    return panel;
  };
  const NOTHING = [0, 0, 0, 0];
  const look = async (card) => {
    if (card.dataset.look === String(state.number)) return;
    card.dataset.look = state.number;
    const off = (kind) => card.querySelector(`.panel.${kind} canvas`)?.remove();
    const said = card.querySelector("output");
    said.textContent = "";
    if (!state.heat) off("image");
    const errors = card.querySelector(".errors img.over");
    const drawn = state.level !== null;
    errors.hidden = drawn;
    card.querySelectorAll(".rings").forEach((rings) => { rings.style.display = drawn ? "none" : ""; });
    if (!drawn) { off("prediction"); off("errors"); }
    if (!drawn && !state.heat) return;
    const found = await evidence(card);
    const level = (value) => value >> 2;
    if (state.heat) paint(card, "image", found, (value) => heat[level(value)]);
    if (!drawn) return;
    const there = (value) => level(value) >= state.level;
    const [none, right, much, missed, wrong, unscored] = looks.errors;
    if (looks.exclusive) {
      paint(card, "prediction", found, (value) => there(value) ? NOTHING : [20, 26, 36, 225]);
      paint(card, "errors", found, (v) => !(v & 2) ? unscored : !there(v) ? [20, 26, 36, 150] : v & 1 ? right : wrong);
    } else {
      paint(card, "prediction", found, (value) => looks.mask[there(value) ? 1 : 0]);
      paint(card, "errors", found, (v) => !(v & 2) ? unscored : there(v) ? (v & 1 ? right : much) : v & 1 ? missed : none);
    }
    said.textContent = sentence(found, there);
  };
  const sentence = (found, there) => {
    const area = found.width * found.height;
    let [both, marked, labelled, counted] = [0, 0, 0, 0];
    for (const value of found.values.subarray(state.layer * area, (state.layer + 1) * area)) {
      if (!(value & 2)) continue;
      counted += 1;
      marked += there(value);
      labelled += value & 1;
      both += there(value) && value & 1;
    }
    const at = (state.level / looks.levels).toFixed(2);
    if (looks.exclusive) {
      const share = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} %` : "–";
      return `from ${at} on: ${share(marked, counted)} of the pixels, ${share(both, marked)} of them right`;
    }
    const dice = marked + labelled ? 2 * both / (marked + labelled) : 1;
    return `at ${at}: Dice ${dice.toFixed(3)} of this picture's pixels`;
  };
  // Only what is in the window is drawn again; the rest follows as it comes into view.
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) { seen.add(target); look(target); } else seen.delete(target);
    }
  });
  cards.forEach((card) => watcher.observe(card));
  const relook = async () => {
    state.number += 1;
    const level = state.level === null ? "as decoded" : (state.level / looks.levels).toFixed(2);
    control("level-shown").value = level;
    control("level").setAttribute("aria-valuetext", level);
    await Promise.all([...new Set([...seen, ...(dialog.open ? [current] : [])])].map(look));
    if (dialog.open) fill(current);
  };
  control("heat").addEventListener("input", () => { state.heat = control("heat").checked; relook(); });
  control("level").addEventListener("input", () => { state.level = Number(control("level").value); relook(); });
  control("layer")?.addEventListener("input", () => {
    state.layer = Number(control("layer").value);
    if (state.level === null) control("level").value = looks.chosen[state.layer];
    relook();
  });
  control("reset").addEventListener("click", () => {
    state.level = null;
    control("level").value = looks.chosen[state.layer];
    relook();
  });

  const fill = (card) => {
    control("zoom-title").textContent = card.dataset.id;
    control("zoom-facts").textContent = card.querySelector("p").innerText || card.querySelector("p").textContent;
    const panels = [...card.querySelectorAll(".panel")];
    const copies = panels.map((panel) => panel.cloneNode(true));
    copies.forEach((copy, place) => {
      const [from, to] = [panels[place].querySelector("canvas"), copy.querySelector("canvas")];
      if (from) to.getContext("2d").drawImage(from, 0, 0);
    });
    control("zoom-pictures").replaceChildren(...copies);
  };
  const places = control("looks").parentElement;
  const zoom = async (card) => {
    current = card;
    await look(card);
    fill(card);
    if (dialog.open) return;
    dialog.insertBefore(control("looks"), control("zoom-pictures"));
    dialog.showModal();
  };
  dialog.addEventListener("close", () => {
    places.insertBefore(control("looks"), places.querySelector("#looks-place"));
    if (current && !current.hidden) current.querySelector("button").focus();
  });
  const step = (by) => {
    const list = matching.includes(current) ? matching : cards;
    zoom(list[(list.indexOf(current) + by + list.length) % list.length]);
  };
  grid.addEventListener("click", (event) => {
    if (event.target.closest(".pictures")) zoom(event.target.closest(".card"));
  });
  grid.addEventListener("keydown", (event) => {
    const card = event.target.closest(".card");
    const list = shown();
    const columns = Math.max(1, list.filter((each) => each.offsetTop === list[0].offsetTop).length);
    const at = list.indexOf(card);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns, Home: 0,
      End: list.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    list[to]?.querySelector("button").focus();
  });
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && button.dataset.step) step(Number(button.dataset.step));
    else if (event.target === dialog || (button && button.id === "zoom-close")) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches && event.target.matches("input, select")) return;
    control("heat").click();
  });
  document.addEventListener("click", (event) => {
    const name = event.target.dataset && event.target.dataset.show;
    if (name !== undefined) zoom(cards.find((card) => card.dataset.id === name));
  });
  arrange();
})();
