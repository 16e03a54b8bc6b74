"use strict";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const charts = read("charts");
const grids = read("grids");
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
let axis = "steps";

// ---- samples over training

const slider = document.getElementById("tick");
if (slider) {
  const picture = document.getElementById("grid");
  const told = document.getElementById("step");
  const play = document.getElementById("play");
  let playing = null;
  grids.at(-1).picture = picture.src;

  const show = () => {
    const { step, picture: source } = grids[slider.value];
    picture.src = source;
    picture.alt = `Samples of the averaged generator at step ${step}`;
    told.textContent = `step ${step}`;
    slider.setAttribute("aria-valuetext", `step ${step}`);
  };
  const stop = () => {
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
  };
  const next = () => {
    if (Number(slider.value) === grids.length - 1) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  };
  slider.addEventListener("input", () => { stop(); show(); });
  play.addEventListener("click", () => {
    if (playing !== null) return stop();
    if (Number(slider.value) === grids.length - 1) { slider.value = 0; show(); }
    play.textContent = "Pause";
    playing = setInterval(next, calm ? 1500 : 400);
  });
}

// ---- curves

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const plotOf = (name) => document.getElementById(`plot-${name}`);

function see_through(hex, share) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${share})`;
}

function lines(chart) {
  return chart.series.map((series) => ({
    x: axis === "seconds" ? series.seconds : series.steps,
    y: series.values,
    name: series.label,
    mode: series.values.length < 3 ? "lines+markers" : "lines",
    line: { color: colour(series.tone), width: 2, dash: series.dash ? "dash" : "solid" },
    fill: series.filled ? "tonexty" : "none",
    fillcolor: see_through(colour(series.tone), 0.2),
    hovertemplate: "%{y:.4g}",
  }));
}

// A title beside an axis may be longer than the axis, on a phone: it is set in lines of some words.
function in_lines(text, longest = 20) {
  const lines = [];
  for (const word of text.split(" ")) {
    if (lines.length && `${lines.at(-1)} ${word}`.length <= longest) lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines;
}

function layout(chart) {
  const title = in_lines(chart.unit);
  const common = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line") };
  return {
    margin: { l: 20, r: 12, t: 8, b: 42 },
    showlegend: false,
    hovermode: "x unified",
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    font: { color: colour("ink"), family: "system-ui, sans-serif", size: 13 },
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") } },
    xaxis: {
      ...common,
      title: { text: axis === "seconds" ? "seconds of training" : "generator steps", standoff: 8 },
      type: axis === "log" ? "log" : "linear",
      hoverformat: axis === "seconds" ? ".1f" : "d",
    },
    yaxis: {
      ...common,
      automargin: true,
      title: { text: title.join("<br>"), standoff: 6 },
      ...(chart.logarithmic ? { type: "log", dtick: "D2", tickformat: ".2~g" } : { type: "linear" }),
    },
  };
}

const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

function drawn(chart) {
  const plot = plotOf(chart.name);
  const pressed = (index) => document.querySelector(`[data-chart="${chart.name}"][data-series="${index}"]`)
    .getAttribute("aria-pressed") === "true";
  const data = lines(chart).map((line, index) => ({ ...line, visible: pressed(index) }));
  Plotly.react(plot, data, layout(chart), options);
  waiting.delete(chart);
}

// A chart is drawn as it comes near the window, or when the browser has nothing else to do; all are before printing.
const waiting = new Set(charts);
const rest = () => waiting.forEach(drawn);
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const chart = charts.find(({ name }) => plotOf(name) === target);
    if (isIntersecting && waiting.has(chart)) drawn(chart);
  }
}, { rootMargin: "300px" });
const idly = window.requestIdleCallback ?? ((call) => setTimeout(call, 50));
function one_more() {
  const [next] = waiting;
  if (next) { drawn(next); idly(one_more); }
}

function draw() {
  for (const chart of charts) if (!waiting.has(chart)) drawn(chart);
}

const pressed = (button) => button.getAttribute("aria-pressed") === "true";

for (const button of document.querySelectorAll("[data-series]")) {
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!pressed(button)));
    const plot = plotOf(button.dataset.chart);
    if (plot.data) Plotly.restyle(plot, { visible: pressed(button) }, [Number(button.dataset.series)]);
  });
}
for (const button of document.querySelectorAll("[data-reset]")) {
  button.addEventListener("click", () => {
    const plot = plotOf(button.dataset.reset);
    if (plot.data) Plotly.relayout(plot, { "xaxis.autorange": true, "yaxis.autorange": true });
  });
}
for (const button of document.querySelectorAll("[data-axis]")) {
  button.addEventListener("click", () => {
    axis = button.dataset.axis;
    for (const other of document.querySelectorAll("[data-axis]")) {
      other.setAttribute("aria-pressed", String(other === button));
    }
    draw();
  });
}

// ---- light and dark

const dark = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  draw();
});
dark.addEventListener("change", draw);

for (const chart of charts) near.observe(plotOf(chart.name));
window.addEventListener("beforeprint", rest);
idly(one_more);
