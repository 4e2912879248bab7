// Twenty-four hours at a glance.

import { svg } from "./dom.js";

const HEIGHT = 16;
const GAP = 0.14; // of a cell

/** A strip of cells as `/api/strips` has them: "." nothing, "o" fine, "a" amber, "f" failed, "r" running. `label` says it in words. */
export function strip(cells, label) {
  const drawing = { class: "strip", viewBox: `0 0 ${cells.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label };
  return svg("svg", drawing, [...cells].map(cell));
}

const cell = (kind, at) => svg("rect", { x: at, y: 0, width: 1 - GAP, height: HEIGHT, class: kind === "." ? null : kind });
