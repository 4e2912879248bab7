// The views, the most particular address first, and what the bar of views leads to.

import approval from "./views/approval.js";
import approvals from "./views/approvals.js";
import job from "./views/job.js";
import jobs from "./views/jobs.js";
import now from "./views/now.js";
import schedule from "./views/schedule.js";
import schedules from "./views/schedules.js";
import { t } from "./words.js";

export const views = [now, jobs, job, approvals, approval, schedules, schedule];

/** `also`: further views that are reached by way of this one. */
export const bar = [
  { name: "now", url: "/", label: t("Now"), also: ["approvals", "approval"] },
  { name: "jobs", url: "/jobs", label: t("Jobs"), also: ["job"] },
  { name: "items", url: "/items", label: t("Items"), also: ["item", "customers", "customer"] },
  { name: "sales", url: "/sales", label: t("Sales"), also: ["sale"] },
  { name: "schedules", url: "/schedules", label: t("Schedules"), also: ["schedule"] },
];
