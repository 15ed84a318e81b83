(() => {
  // The only request that the page makes is for itself; the button stops that.
  const pause = document.getElementById("pause");
  if (pause) {
    const waiting = setTimeout(() => location.reload(), 1000 * Number(pause.dataset.every));
    pause.addEventListener("click", () => { clearTimeout(waiting); pause.textContent = "paused"; pause.disabled = true; });
  }
  for (const figure of document.querySelectorAll(".previews")) {
    const slider = figure.querySelector("input");
    const pictures = [...figure.querySelectorAll("img")];
    slider.addEventListener("input", () => {
      pictures.forEach((picture, place) => { picture.hidden = place !== Number(slider.value); });
      figure.querySelector("output").value = pictures[Number(slider.value)].dataset.epoch;
    });
  }
})();
