// Shows the numbers of the nearest point of a figure, under a mouse, a pen or a finger.
for (const figure of document.querySelectorAll(".figure")) {
  const points = JSON.parse(figure.querySelector("script").textContent);
  const dot = Object.assign(document.createElement("div"), { className: "dot", hidden: true });
  const tip = Object.assign(document.createElement("div"), { className: "tip", hidden: true });
  figure.append(dot, tip);
  const image = figure.querySelector("img");
  const show = (event) => {
    const box = image.getBoundingClientRect();
    const far = ([x, y]) => Math.hypot(box.left + x * box.width - event.clientX, box.top + y * box.height - event.clientY);
    let nearest = null, least = 40;
    for (const point of points) {
      const distance = far(point);
      if (distance < least) [nearest, least] = [point, distance];
    }
    dot.hidden = tip.hidden = nearest === null;
    if (nearest === null) return;
    const [x, y, text] = nearest, left = x * box.width, top = y * box.height;
    dot.style.left = `${left}px`; dot.style.top = `${top}px`;
    tip.textContent = text;
    tip.style.left = `${Math.max(0, Math.min(left + 12, box.width - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, top - tip.offsetHeight - 12)}px`;
  };
  image.addEventListener("pointermove", show);
  image.addEventListener("pointerdown", show);
  image.addEventListener("pointerleave", () => { dot.hidden = tip.hidden = true; });
}
