// Tables that sort and filter, recipes to copy, and pictures that turn.
"use strict";

for (const part of document.querySelectorAll(".sortable")) {
  const body = part.querySelector("tbody");
  const headings = [...part.querySelectorAll("th[aria-sort]")];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const isDown = heading.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows];
      const values = rows.map((row) => row.cells[column].dataset.value);
      body.append(...sortedOrder(values, isDown).map((place) => rows[place]));
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    });
  });
  const status = part.querySelector("[role=status]");
  part.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    const shown = [...body.rows].filter((row) => !row.hidden).length;
    status.textContent = `${shown} of ${body.rows.length} runs`;
  });
}

for (const part of document.querySelectorAll(".copied")) {
  const button = part.querySelector("button");
  const text = part.querySelector("code");
  button.hidden = false;
  button.addEventListener("click", () => {
    const range = document.createRange();
    range.selectNodeContents(text);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    // A file opened from a disk may not use the clipboard; the old way is allowed there.
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected: press Ctrl+C";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

const CAMERA = { eye: { x: 1.4, y: -1.4, z: 0.8 }, center: { x: 0, y: 0, z: -0.1 } };
let library;
function loadLibrary() {
  library ??= (async () => {
    const packed = document.getElementById("plotly").textContent;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  })();
  return library;
}

function colorsOfPage() {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const steps = Array.from({ length: 10 }, (_, step) => [step / 9, color(`s${step}`)]);
  return { color, steps };
}

function tracesOf(data) {
  const { color, steps } = colorsOfPage();
  const bar = { title: { text: data.score }, len: 0.7, thickness: 12, x: 1.0 };
  return data.traces.map((trace) => {
    if (trace.type === "isosurface") {
      const plain = [[0, color("c1")], [1, color("c1")]];
      return { ...trace, colorscale: plain, surface: { count: 1 }, flatshading: false };
    }
    if (trace.type === "surface") return { ...trace, colorscale: steps };
    const marker = { ...trace.marker, line: { color: color("card"), width: 1 } };
    if (marker.color === "best") marker.color = color("best");
    else Object.assign(marker, { colorscale: steps, colorbar: bar });
    return { ...trace, marker };
  });
}

function layoutOf(data) {
  const { color } = colorsOfPage();
  const axis = (text) => ({
    title: { text }, color: color("ink"), gridcolor: color("line"), zerolinecolor: color("line"),
    showbackground: false, showspikes: false,
  });
  const [x, y, z] = [...data.axes.map(axis)];
  return {
    scene: { xaxis: x, yaxis: y, zaxis: z, aspectmode: "cube", camera: data.camera },
    paper_bgcolor: "rgba(0,0,0,0)", font: { color: color("ink"), size: 12 },
    margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, uirevision: "kept",
  };
}

function turn(place, across, up) {
  const { x, y, z } = place.layout.scene.camera.eye;
  const angle = Math.atan2(y, x) + across;
  const flat = Math.hypot(x, y);
  const eye = { x: flat * Math.cos(angle), y: flat * Math.sin(angle), z: z + up };
  window.Plotly.relayout(place, { "scene.camera": { ...CAMERA, eye } });
}

async function startTurning(figure, data) {
  // plotly does not reject without WebGL: it writes a message where the picture would be.
  if (!document.createElement("canvas").getContext("webgl")) throw new Error("no WebGL");
  await loadLibrary();
  const place = figure.querySelector(".turn");
  const far = place.clientWidth < 480 ? 1.35 : 1;
  const { x, y, z } = CAMERA.eye;
  data.camera = { ...CAMERA, eye: { x: far * x, y: far * y, z: far * z } };
  place.hidden = false;
  const options = { displayModeBar: false, responsive: true, scrollZoom: false };
  await window.Plotly.newPlot(place, tracesOf(data), layoutOf(data), options);
  for (const still of figure.querySelectorAll(":scope > .still")) still.hidden = true;
  const steps = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2] };
  place.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    turn(place, ...steps[event.key]);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    data.camera = place.layout.scene.camera;
    window.Plotly.react(place, tracesOf(data), layoutOf(data), options);
  });
}

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    const data = JSON.parse(target.closest("section").querySelector(".turning").textContent);
    // Without WebGL, or in a browser too old to unpack, the picture that stands still stays.
    startTurning(target, data).catch(() => { target.querySelector(".turn").hidden = true; });
  }
}, { rootMargin: "300px" });
for (const data of document.querySelectorAll(".turning")) {
  watcher.observe(data.closest("section").querySelector("figure"));
}
