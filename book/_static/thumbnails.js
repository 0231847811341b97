// Show the cell under the pointer: a figure whose layout.meta.thumbnails holds a sheet of tiles
// answers a hover over a point (customdata[0] = tile number) with that tile, enlarged.
(function () {
  "use strict";
  const ENLARGE = 2;

  function tooltip() {
    const box = document.createElement("div");
    box.className = "cellclr-thumbnail";
    box.hidden = true;
    box.appendChild(document.createElement("img")).alt = "cell under the pointer";
    document.body.appendChild(box);
    return box;
  }

  function attach(figure) {
    const sheet = figure.layout.meta && figure.layout.meta.thumbnails;
    if (!sheet) return;
    const box = tooltip();
    const image = box.firstChild;
    image.src = sheet.source;
    box.style.width = box.style.height = sheet.tile_px * ENLARGE + "px";
    image.style.width = sheet.columns * sheet.tile_px * ENLARGE + "px";

    figure.on("plotly_hover", function (event) {
      const point = event.points[0];
      const tile = point && point.customdata && point.customdata[0];
      if (tile === undefined || tile === null) return;
      image.style.left = -(tile % sheet.columns) * sheet.tile_px * ENLARGE + "px";
      image.style.top = -Math.floor(tile / sheet.columns) * sheet.tile_px * ENLARGE + "px";
      const side = sheet.tile_px * ENLARGE + 24;
      const x = event.event.clientX, y = event.event.clientY;
      box.style.left = (x + side < window.innerWidth ? x + 16 : Math.max(0, x - side)) + "px";
      box.style.top = Math.max(0, y - side) + "px";
      box.hidden = false;
    });
    figure.on("plotly_unhover", function () { box.hidden = true; });
  }

  document.addEventListener("cellclr:drawn", function (event) { attach(event.target); });
})();
