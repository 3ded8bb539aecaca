"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = 6, DASHES = ["", "7 4", "2 3", "9 3 2 3", "12 3", "1 5"];

  // Tables: a click on a heading sorts by the exact numbers; what has none comes last.
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const compare = (a, b, sign) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0], original = [...body.rows];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => {
        const next = { ascending: "descending", descending: null }[heading.getAttribute("aria-sort")];
        const order = next === undefined ? "ascending" : next;
        headings.forEach((one) => one.removeAttribute("aria-sort"));
        if (order) heading.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        const rows = [...original];
        if (order) rows.sort((a, b) => compare(value(a, column), value(b, column), sign));
        body.append(...rows);
      });
    });
    table.original = original;
  }

  // A link to a section opens it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((one) => (one.open = true));
  });
  addEventListener("afterprint", () => closed.forEach((one) => (one.open = false)));

  const make = (name, attributes = {}, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, one] of Object.entries(attributes)) node.setAttribute(key, one);
    node.textContent = text;
    return node;
  };
  const plain = (number) => Number(number.toPrecision(3)).toString();

  // Thresholds at one value: words and cells were made beforehand, for every value.
  const sideBySide = (section, side) => {
    const choice = section.querySelector(".at select");
    if (!choice) return;
    const table = section.querySelector(".at table"), said = section.querySelector(".at .said");
    choice.addEventListener("change", () => {
      const place = Number(choice.value);
      table.caption.textContent = side.captions[place];
      said.replaceChildren(...side.said[place].map((line) => {
        const p = document.createElement("p");
        p.textContent = line;
        return p;
      }));
      table.original.forEach((row, number) => side.cells[place][number].forEach(([text, exact], column) => {
        const cell = row.cells[column + 1];
        cell.textContent = text;
        if (exact === null) delete cell.dataset.value;
        else cell.dataset.value = exact;
      }));
    });
  };

  // Curves of the networks and layers that are picked.
  const picker = (section, curves) => {
    const area = section.querySelector(".curves"), chart = area.querySelector(".chart");
    const caption = area.querySelector("figcaption"), figure = area.querySelector("figure");
    const runBox = area.querySelector(".runs"), layerBox = area.querySelector(".layers");
    const few = curves.runs.length <= COLOURS;
    const runs = new Set(few ? curves.runs.map((_, place) => place) : [0]);
    const layers = new Set([...runs].slice(0, 1).flatMap((place) => curves.runs[place].picked));
    const box = (parent, text, on, change) => {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "checkbox";
      input.checked = on;
      input.addEventListener("change", () => change(input.checked));
      label.append(input, text);
      parent.append(label);
    };
    const toggle = (set, one, redraw) => (on) => {
      if (on) set.add(one);
      else set.delete(one);
      redraw();
    };
    const chosen = () => curves.runs.filter((_, place) => runs.has(place));
    const listLayers = () => {
      layerBox.querySelectorAll("label").forEach((one) => one.remove());
      const known = new Set(chosen().flatMap((run) => Object.keys(run.layers)));
      if (![...known].some((layer) => layers.has(layer)))
        chosen().slice(0, 1).forEach((run) => run.picked.forEach((layer) => layers.add(layer)));
      known.forEach((layer) => box(layerBox, layer, layers.has(layer), toggle(layers, layer, draw)));
      draw();
    };
    const draw = () => {
      const lines = [];
      const order = [...new Set(chosen().flatMap((run) => Object.keys(run.layers)))].filter((l) => layers.has(l));
      chosen().forEach((run, place) => order.forEach((layer, hue) => {
        if (!(layer in run.layers)) return;
        const [y, low, high] = run.layers[layer];
        lines.push({ run: run.name, layer, place, hue, x: run.values, y, low, high });
      }));
      drawChart(chart, curves, lines, chosen().length > 1);
      const left = chosen().reduce((sum, run) => sum + run.left_out, 0);
      caption.textContent = words(curves, lines) + (left ? ` ${left} more layers are in the file.` : "");
    };
    if (runBox) curves.runs.forEach((run, place) => box(runBox, run.name, runs.has(place), toggle(runs, place, listLayers)));
    area.querySelector(".controls").hidden = false;
    figure.hidden = false;
    listLayers();
    let seen = chart.clientWidth;
    addEventListener("resize", () => {
      if (chart.clientWidth === seen) return;
      seen = chart.clientWidth;
      draw();
    });
  };

  const words = (curves, lines) => {
    const parts = lines.map(({ run, layer, y }) => {
      const known = y.filter((one) => one !== null);
      if (!known.length) return `${layer} of ${run}: none`;
      const [low, high] = [Math.min(...known), Math.max(...known)].map(plain);
      return `${layer} of ${run}: ${low === high ? low : `${low} to ${high}`} ${curves.unit}`;
    });
    const bands = lines.some(({ low }) => low) ? " Bands are intervals." : "";
    return lines.length ? `Thresholds over ${curves.dimension}. ${parts.join("; ")}.${bands}` : "No layer is picked.";
  };

  const ticksOf = (low, high) => {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
      for (const step of [1, 2, 5]) found.push(Number((step * 10 ** power).toPrecision(3)));
    const inside = found.filter((one) => one >= low * 0.999 && one <= high * 1.001);
    return inside.length >= 2 ? inside : [low, high].map((one) => Number(one.toPrecision(3)));
  };
  const valuesOf = (low, high, unit) => {
    if (low === high) return [low];
    const span = high - low, rough = span / 5, power = 10 ** Math.floor(Math.log10(rough));
    const steps = unit === "deg" && span >= 90 ? [span > 200 ? 60 : 45] : [1, 2, 5, 10].map((one) => one * power);
    const step = steps.find((one) => one >= rough * 0.99) || steps[steps.length - 1];
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) found.push(Number(tick.toPrecision(6)));
    return found;
  };

  // Lines of at most so many letters: between words where that can be.
  const wrapped = (text, most) => {
    const found = [""];
    for (const word of text.split(" ").flatMap((one) => one.match(new RegExp(`.{1,${most}}`, "g")) || [])) {
      const last = found[found.length - 1];
      if (last && last.length + 1 + word.length > most) found.push(word);
      else found[found.length - 1] = last ? `${last} ${word}` : word;
    }
    return found;
  };

  const drawChart = (chart, curves, lines, several) => {
    // As wide as it is seen, so that its letters are as large as they are meant.
    const wide = Math.max(260, Math.min(960, chart.clientWidth || 720)), left = 62, right = 14, top = 12, plot = 300;
    const numbers = lines.flatMap(({ y, low, high }) => [...y, ...(low || []), ...(high || [])]).filter((one) => one);
    const called = lines.map((line) => wrapped(several ? `${line.layer}, ${line.run}` : line.layer, Math.floor((wide - 52) / 7.8)));
    const keys = called.flat().length * 19;
    const svg = make("svg", { viewBox: `0 0 ${wide} ${top + plot + 46 + keys}`, role: "img", "aria-label": words(curves, lines) });
    chart.replaceChildren(svg);
    if (!numbers.length) return;
    const xs = lines.flatMap(({ x }) => x), [x0, x1] = [Math.min(...xs), Math.max(...xs)];
    const [y0, y1] = [Math.min(...numbers) / 1.1, Math.max(...numbers) * 1.1];
    const X = (one) => (x1 === x0 ? (left + wide - right) / 2 : left + ((one - x0) / (x1 - x0)) * (wide - left - right));
    const Y = (one) => top + plot - (Math.log(one / y0) / Math.log(y1 / y0)) * plot;
    for (const tick of ticksOf(y0, y1)) {
      svg.append(make("line", { class: "grid", x1: left, x2: wide - right, y1: Y(tick), y2: Y(tick) }));
      svg.append(make("text", { x: left - 7, y: Y(tick) + 4, "text-anchor": "end" }, plain(tick)));
    }
    for (const tick of valuesOf(x0, x1, curves.unit)) {
      svg.append(make("line", { class: "axis", x1: X(tick), x2: X(tick), y1: top + plot, y2: top + plot + 5 }));
      svg.append(make("text", { x: X(tick), y: top + plot + 19, "text-anchor": "middle" }, String(tick)));
    }
    svg.append(make("path", { class: "axis", d: `M${left} ${top}V${top + plot}H${wide - right}` }));
    const middle = top + plot / 2;
    svg.append(make("text", { x: (left + wide - right) / 2, y: top + plot + 37, "text-anchor": "middle" }, `${curves.dimension} (${curves.unit})`));
    svg.append(make("text", { transform: `translate(13 ${middle}) rotate(-90)`, "text-anchor": "middle" }, `threshold (${curves.unit})`));
    lines.forEach((line, place) => {
      const style = `stroke: var(--c${line.hue % COLOURS}); stroke-width: 2; fill: none; stroke-dasharray: ${DASHES[line.place % DASHES.length] || "none"}`;
      const known = line.x.map((one, at) => [one, line.y[at], line.low && line.low[at], line.high && line.high[at]]).filter((one) => one[1]);
      const banded = known.filter((one) => one[2] && one[3]);
      if (banded.length > 1) {
        const edge = [...banded.map((one) => [one[0], one[3]]), ...banded.reverse().map((one) => [one[0], one[2]])];
        svg.append(make("path", { d: `M${edge.map(([a, b]) => `${X(a)} ${Y(b)}`).join("L")}Z`, style: `fill: var(--c${line.hue % COLOURS}); opacity: 0.16` }));
      } else banded.forEach(([a, , low, high]) => svg.append(make("line", { x1: X(a), x2: X(a), y1: Y(low), y2: Y(high), style })));
      if (known.length > 1) svg.append(make("path", { d: `M${known.map(([a, b]) => `${X(a)} ${Y(b)}`).join("L")}`, style }));
      known.forEach(([a, b]) => svg.append(make("circle", { cx: X(a), cy: Y(b), r: known.length > 40 ? 0 : 3, style: `fill: var(--c${line.hue % COLOURS})` })));
      const row = top + plot + 58 + called.slice(0, place).flat().length * 19;
      svg.append(make("line", { x1: 4, x2: 40, y1: row - 4, y2: row - 4, style }));
      called[place].forEach((words, at) => svg.append(make("text", { x: 48, y: row + at * 19 }, words)));
    });
  };

  document.querySelectorAll(".part").forEach((section) => {
    const { curves, side } = data[Number(section.dataset.part)];
    if (side) sideBySide(section, side);
    if (curves) picker(section, curves);
  });
})();
