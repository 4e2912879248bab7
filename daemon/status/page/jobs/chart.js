// Rows per second over the time of a job, with the times at which it waited for limits. uPlot is loaded for it alone.

import { element, setText } from "../dom.js";
import { duration, number, t, time, tn } from "../words.js";

const FOLDER = "/page/vendor";
const HEIGHT = 150; // pixels
const FEWEST = 3; // points of which a line tells anything
const INKS = { line: "tone-run", wait: "tone-warn", text: "quiet", grid: "chart-grid" }; // classes by what is drawn
const WAITED = 0.05; // share of an interval from which on it is marked

let loading = null;

export class PaceChart {
  constructor() {
    this.place = element("div", { class: "chart", "aria-hidden": "true" });
    this.words = element("figcaption", { class: "quiet" });
    this.inks = Object.fromEntries(Object.entries(INKS).map(([name, kind]) => [name, element("i", { class: kind })]));
    this.node = element("figure", { class: "card pace", hidden: true }, this.place, this.words, ...Object.values(this.inks));
    this.size = new ResizeObserver(() => this.chart?.setSize({ width: this.#width(), height: HEIGHT }));
    this.size.observe(this.place);
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.chart?.redraw();
    this.scheme.addEventListener("change", this.repaint);
  }

  /** `pace`: points {at, rows, rows_per_second, waited_seconds}, oldest first, the last two of the time since the point before; `began`: when the job did. */
  async show(pace, began) {
    this.node.hidden = pace.length < FEWEST;
    if (this.node.hidden) return;
    this.pace = pace;
    setText(this.words, said(pace, began));
    const uPlot = await (loading ??= load());
    if (this.isClosed) return;
    const data = [pace.map(({ at }) => Date.parse(at) / 1000), pace.map((point) => point.rows_per_second)];
    if (this.chart) this.chart.setData(data);
    else this.chart = new uPlot(this.#options(), data, this.place);
  }

  close() {
    this.isClosed = true;
    this.size.disconnect();
    this.scheme.removeEventListener("change", this.repaint);
    this.chart?.destroy();
  }

  #options() {
    const axis = { stroke: () => this.#ink("text"), grid: { stroke: () => this.#ink("grid"), width: 1 }, ticks: { show: false } };
    return {
      width: this.#width(),
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { y: { range: (_chart, _least, most) => [0, Math.max(1, most * 1.1)] } },
      axes: [
        { ...axis, space: 90, size: 28, values: (_chart, seconds) => seconds.map((each) => time(new Date(each * 1000).toISOString())) },
        { ...axis, size: 56, values: (_chart, rates) => rates.map((rate) => number(rate)) },
      ],
      series: [{}, { stroke: () => this.#ink("line"), width: 2, points: { show: false } }],
      hooks: { drawClear: [(chart) => this.#markWaits(chart)] },
    };
  }

  /** Behind the line: the intervals in which the job waited. */
  #markWaits(chart) {
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.fillStyle = this.#ink("wait");
    for (const { from, to, share } of waits(this.pace)) {
      if (share < WAITED) continue;
      const [left, right] = [from, to].map((milliseconds) => chart.valToPos(milliseconds / 1000, "x", true));
      ctx.globalAlpha = 0.35 * Math.min(1, share);
      ctx.fillRect(left, bbox.top, right - left, bbox.height);
    }
    ctx.restore();
  }

  /** A canvas knows no style sheet: the colour that an element of the class has, in light and dark. */
  #ink(name) {
    return getComputedStyle(this.inks[name]).color;
  }

  #width() {
    return Math.max(200, this.place.clientWidth);
  }
}

/** The chart in words, beneath it for everybody. */
function said(pace, began) {
  const last = pace.at(-1);
  const most = Math.max(...pace.map((point) => point.rows_per_second));
  const seconds = (Date.parse(last.at) - Date.parse(began)) / 1000;
  const mean = seconds > 0 ? last.rows / seconds : 0;
  const rows = tn("{n} row", "{n} rows", { n: last.rows });
  const values = { rows, from: time(began), to: time(last.at), mean: number(Math.round(mean)), most: number(Math.round(most)) };
  const parts = [t("{rows} from {from} to {to}: {mean} a second on average, at most {most}.", values)];
  const waited = pace.reduce((sum, point) => sum + point.waited_seconds, 0);
  if (waited >= 1) parts.push(t("It waited {time} for limits (marked).", { time: duration(waited) }));
  return parts.join(" ");
}

/** Between two points: how much of the time was spent waiting. */
function waits(pace) {
  return pace.slice(1).map((point, place) => {
    const from = Date.parse(pace[place].at);
    const to = Date.parse(point.at);
    return { from, to, share: to > from ? (point.waited_seconds * 1000) / (to - from) : 0 };
  });
}

async function load() {
  const style = element("link", { rel: "stylesheet", href: `${FOLDER}/uPlot.min.css` });
  const script = element("script", { src: `${FOLDER}/uPlot.iife.min.js` });
  const loaded = [style, script].map(
    (node) =>
      new Promise((resolve, reject) => {
        node.addEventListener("load", resolve);
        node.addEventListener("error", () => reject(new TypeError("The chart could not be loaded")));
      }),
  );
  document.head.append(style, script);
  try {
    await Promise.all(loaded);
  } catch (error) {
    loading = null; // another view may try again
    throw error;
  }
  return window.uPlot;
}
