"use strict";
(() => {
  // Light or dark: as the system has it, until the button says otherwise; remembered where the browser allows it.
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const remembered = (value) => {
    try { return value ? localStorage.setItem("theme", value) : localStorage.getItem("theme"); } catch { return null; }
  };
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const name = () => { button.textContent = isDark() ? "light" : "dark"; };
  const chosen = remembered();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remembered(root.dataset.theme);
    name();
  });
  dark.addEventListener("change", name);
  name();

  // Commands that can be copied.
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest && event.target.closest("button.copy");
    if (!copy) return;
    const command = copy.previousElementSibling;
    try { await navigator.clipboard.writeText(command.textContent); } catch {
      getSelection().selectAllChildren(command);
      document.execCommand("copy");
    }
    copy.textContent = "copied";
    setTimeout(() => { copy.textContent = "copy"; }, 1500);
  });

  // Charts: what the lines say where the pointer is, or where the arrow keys have gone.
  const follow = (figure) => {
    const chart = JSON.parse(figure.dataset.chart);
    const plot = figure.querySelector(".plot");
    const cursor = figure.querySelector(".cursor");
    const key = [...figure.querySelectorAll(".key > span")];
    const output = figure.querySelector("output");
    const points = chart.series.flatMap((series) => series.points.map((point) => ({ point, key: series.key })));
    const stops = [...new Set(points.map(({ point }) => point[0]))].sort((a, b) => a - b);
    let at = -1;
    const clear = () => {
      cursor.setAttribute("visibility", "hidden");
      key.forEach((entry) => { entry.querySelector("b").textContent = ""; });
      output.textContent = "";
    };
    const read = (found) => {
      clear();
      if (!found.length) return;
      const place = `${found[0].point[0] / 10}%`;
      cursor.setAttribute("x1", place);
      cursor.setAttribute("x2", place);
      cursor.setAttribute("visibility", "visible");
      const others = [];
      for (const each of found) {
        if (each.key >= 0 && !chart.nearest) key[each.key].querySelector("b").textContent = each.point[3];
        else others.push(each.point[3]);
      }
      const where = chart.nearest || !found[0].point[2] ? "" : `${chart.x} ${found[0].point[2]}`;
      output.textContent = [where, ...others].filter(Boolean).join(": ");
    };
    const nearest = (x, y) => {
      const far = ({ point }) => (point[0] - x) ** 2 + (chart.nearest ? (point[1] - y) ** 2 : 0);
      return points.reduce((best, each) => far(each) < far(best) ? each : best, points[0]);
    };
    const at_stop = (x) => points.filter(({ point }) => point[0] === x);
    plot.addEventListener("pointermove", (event) => {
      const box = plot.querySelector("svg").getBoundingClientRect();
      const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      const found = nearest(1000 * x, 1000 * y);
      if (!found) return;
      at = chart.nearest ? points.indexOf(found) : stops.indexOf(found.point[0]);
      read(chart.nearest ? [found] : at_stop(found.point[0]));
    });
    plot.addEventListener("pointerleave", () => { at = -1; clear(); });
    plot.addEventListener("blur", clear);
    plot.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const list = chart.nearest ? points : stops;
      if (!by || !list.length) return;
      event.preventDefault();
      at = Math.min(list.length - 1, Math.max(0, at + by));
      read(chart.nearest ? [points[at]] : at_stop(stops[at]));
    });
  };
  document.querySelectorAll("figure[data-chart]").forEach(follow);
})();
