// Draw every Plotly figure of the page from the JSON beside it, in the colours of the page's theme.
(function () {
  "use strict";

  // Only text and menus follow the theme: grids, lines and backgrounds are chosen in
  // cellclr_lib/plots/style.py so that they suit both.
  function themed(layout) {
    const dark = document.documentElement.dataset.theme === "dark";
    const text = dark ? "#ced6dd" : "#23313f";
    const update = { "font.color": text, "modebar.activecolor": text };
    (layout.updatemenus || []).forEach(function (_, i) {
      update["updatemenus[" + i + "].bgcolor"] = dark ? "#222832" : "#f4f6f8";
      update["updatemenus[" + i + "].font.color"] = text;
    });
    return update;
  }

  // Pictures keep their proportions at every page width (layout.meta.aspect = height / width of the plot area).
  function fitHeight(figure, layout) {
    const aspect = layout.meta && layout.meta.aspect;
    if (!aspect) return layout.height || 450;
    const margin = Object.assign({ l: 0, r: 0, t: 0, b: 0 }, layout.margin);
    return Math.round((figure.clientWidth - margin.l - margin.r) * aspect + margin.t + margin.b);
  }

  function draw(figure) {
    const spec = JSON.parse(figure.nextElementSibling.textContent);
    spec.layout.height = fitHeight(figure, spec.layout);
    const config = { responsive: true, displaylogo: false };
    return Plotly.newPlot(figure, spec.data, spec.layout, config)
      .then(function () { return Plotly.relayout(figure, themed(spec.layout)); })
      .then(function () {
        figure.dataset.drawn = "true";
        figure.dispatchEvent(new CustomEvent("cellclr:drawn", { bubbles: true }));
      });
  }

  const figures = Array.from(document.querySelectorAll(".cellclr-figure"));
  figures.forEach(draw);

  new MutationObserver(function () {
    figures.forEach(function (figure) { Plotly.relayout(figure, themed(figure.layout)); });
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  window.addEventListener("resize", function () {
    figures.forEach(function (figure) {
      const height = fitHeight(figure, figure.layout);
      if (height !== figure.layout.height) Plotly.relayout(figure, { height: height });
    });
  });
})();
