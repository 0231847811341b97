// Draw every Plotly figure of the page from the JSON beside it, in the colours of the page's theme.
(function () {
  "use strict";

  // Only text and menus follow the theme: grids, lines and backgrounds are chosen in
  // cellclr_lib/plots/style.py so that they suit both.
  function themed(layout) {
    const dark = document.documentElement.dataset.theme === "dark";
    const text = dark ? "#ced6dd" : "#23313f";
    const menu = { bgcolor: dark ? "#222832" : "#f4f6f8", font: { color: text } };
    return {
      font: Object.assign({}, layout.font, { color: text }),
      modebar: Object.assign({}, layout.modebar, { activecolor: text }),
      updatemenus: (layout.updatemenus || []).map(function (own) { return Object.assign({}, own, menu); }),
    };
  }

  // Pictures keep their proportions at every page width (layout.meta.aspect = height / width of the plot area).
  function fit(figure, layout) {
    const aspect = layout.meta && layout.meta.aspect;
    if (!aspect) return layout.height || 450;
    const margin = layout.margin;
    const height = Math.round((figure.clientWidth - margin.l - margin.r) * aspect + margin.t + margin.b);
    figure.style.height = height + "px";
    return height;
  }

  function draw(figure) {
    const spec = JSON.parse(figure.nextElementSibling.textContent);
    Object.assign(spec.layout, themed(spec.layout), { height: fit(figure, spec.layout) });
    return Plotly.newPlot(figure, spec.data, spec.layout, { responsive: true, displaylogo: false })
      .then(function () {
        figure.dataset.drawn = "true";
        figure.dispatchEvent(new CustomEvent("cellclr:drawn", { bubbles: true }));
        resized.observe(figure);
      });
  }

  // The page turns or narrows, or the reader opens a folded solution.
  const resized = new ResizeObserver(function (entries) {
    entries.forEach(function (entry) {
      const figure = entry.target;
      if (!figure.clientWidth) return;
      const size = { width: figure.clientWidth, height: fit(figure, figure.layout) };
      if (size.width !== figure._fullLayout.width || size.height !== figure._fullLayout.height) {
        Plotly.relayout(figure, size);
      }
    });
  });

  const figures = Array.from(document.querySelectorAll(".cellclr-figure"));
  figures.forEach(draw);
  new MutationObserver(function () {
    figures.forEach(function (figure) { Plotly.relayout(figure, themed(figure.layout)); });
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
})();
