// The last runs of a schedule as dots, the newest on the right.

import { svg } from "../dom.js";
import { t, tn } from "../words.js";

const STEP = 12;
const RADIUS = 4;

/** `runs` as `last_ten` has them, newest first. */
export function dots(runs) {
  const width = Math.max(runs.length, 1) * STEP;
  const attributes = { class: "dots", viewBox: `0 0 ${width} ${STEP}`, width, height: STEP, role: "img", "aria-label": inWords(runs) };
  return svg("svg", attributes, runs.toReversed().map(dot));
}

const dot = (run, place) =>
  svg("circle", { cx: place * STEP + STEP / 2, cy: STEP / 2, r: RADIUS, class: `tone-${run.tone}` }, svg("title", {}, run.text));

/** "Last 10 runs, newest first: completed, failed, 8 × completed". */
function inWords(runs) {
  if (runs.length === 0) return t("No runs yet");
  const groups = [];
  for (const { text } of runs) {
    if (groups.at(-1)?.text === text) groups.at(-1).count += 1;
    else groups.push({ text, count: 1 });
  }
  const said = groups.map(({ text, count }) => (count === 1 ? text : `${count} × ${text}`)).join(", ");
  return tn("Last run: {said}", "Last {n} runs, newest first: {said}", { n: runs.length, said });
}
