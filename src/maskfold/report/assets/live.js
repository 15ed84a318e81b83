(() => {
  for (const figure of document.querySelectorAll(".previews")) {
    const slider = figure.querySelector("input");
    const pictures = [...figure.querySelectorAll("img")];
    slider.addEventListener("input", () => {
      pictures.forEach((picture, place) => { picture.hidden = place !== Number(slider.value); });
      figure.querySelector("output").value = pictures[Number(slider.value)].dataset.epoch;
    });
  }
})();
