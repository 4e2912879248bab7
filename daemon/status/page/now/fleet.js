// The daemons that work on the database, where there are several: what each does, and whether it is there.

import { element, setHidden } from "../dom.js";
import { table } from "../table.js";
import { number, t, time, tn } from "../words.js";

const ROLES = {
  worker: () => t("takes jobs"),
  schedules: () => t("fires schedules"),
  status: () => t("answers people"),
};
const TOLERANCE = 5; // seconds by which a clock may be off

export class Fleet {
  constructor() {
    this.table = table({ caption: t("The daemons on this database"), columns: columns(), key: ({ name }) => name, className: "fleet" });
    this.node = element("section", { id: "daemons", hidden: true }, element("h2", {}, t("Daemons")), this.table);
  }

  /** The daemons, null while the database is away. One alone that does everything is no news. */
  show(fleet) {
    const daemons = fleet ?? [];
    setHidden(this.node, daemons.length < 2 && !daemons.some(isAmiss));
    this.table.show(daemons.map(shown));
  }
}

const columns = () => [
  { key: "name", label: t("Daemon"), cell: (daemon) => [element("b", {}, daemon.name), element("small", {}, whose(daemon))] },
  { key: "does", label: t("Does"), cell: does },
  { key: "jobs", label: t("Jobs"), cell: (daemon) => (daemon.is_live ? jobs(daemon) : "–") },
  { key: "since", label: t("Since"), cell: (daemon) => time(daemon.started_at) },
];

/** Without what changes with each sign of life, so that a row stays as it is for as long as it says the same. */
const shown = ({ seen_at, clock_offset_seconds, ...daemon }) => ({
  ...daemon,
  seen_at: daemon.is_live ? null : seen_at,
  off: Math.abs(clock_offset_seconds ?? 0) > TOLERANCE ? Math.round(clock_offset_seconds) : 0,
});

const isAmiss = (daemon) => !daemon.is_live || daemon.takes_no_jobs_since !== null || Math.abs(daemon.clock_offset_seconds ?? 0) > TOLERANCE;

const whose = ({ host, version, is_self }) => [host, version, is_self ? t("this one") : null].filter(Boolean).join(" · ");

function does(daemon) {
  if (!daemon.is_live) return element("span", { class: "dot tone-bad" }, t("gone: last seen {time}", { time: time(daemon.seen_at) }));
  const roles = daemon.roles.map((role) => ROLES[role]()).join(", ");
  const amiss = [
    daemon.takes_no_jobs_since ? t("takes no jobs since {time}", { time: time(daemon.takes_no_jobs_since) }) : null,
    daemon.off > 0 ? t("clock {n} s ahead", { n: number(daemon.off) }) : null,
    daemon.off < 0 ? t("clock {n} s behind", { n: number(-daemon.off) }) : null,
  ].filter(Boolean);
  const tone = amiss.length > 0 ? "tone-bad" : "tone-ok";
  return [element("span", { class: `dot ${tone}` }, roles), ...amiss.map((text) => element("small", {}, text))];
}

function jobs({ running_jobs, lanes }) {
  if (running_jobs === 0) return "0";
  return [number(running_jobs), element("small", {}, tn("{n} lane", "{n} lanes", { n: lanes.length }))];
}
