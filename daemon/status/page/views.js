// The views by their addresses, and what the bar of views leads to. What a view is made of is fetched when it is opened.

import { t } from "./words.js";

export const views = [
  { name: "now", path: /^\/$/, load: () => import("./views/now.js") },
  { name: "approvals", path: /^\/approvals$/, load: () => import("./views/approvals.js") },
  { name: "approval", path: /^\/approvals\/([^/]+)$/, load: () => import("./views/approval.js") },
  { name: "jobs", path: /^\/jobs$/, load: () => import("./views/jobs.js") },
  { name: "job", path: /^\/jobs\/([^/]+)$/, load: () => import("./views/job.js") },
  { name: "items", path: /^\/items$/, load: () => import("./views/items.js") },
  { name: "item", path: /^\/items\/([^/]+)$/, load: () => import("./views/item.js") },
  { name: "customers", path: /^\/customers$/, load: () => import("./views/customers.js") },
  { name: "customer", path: /^\/customers\/([^/]+)$/, load: () => import("./views/customer.js") },
  { name: "sales", path: /^\/sales$/, load: () => import("./views/sales.js") },
  { name: "sale", path: /^\/sales\/([^/]+)$/, load: () => import("./views/sale.js") },
  { name: "schedules", path: /^\/schedules$/, load: () => import("./views/schedules.js") },
  { name: "schedule", path: /^\/schedules\/([^/]+)$/, load: () => import("./views/schedule.js") },
];

/** `also`: further views that are reached by way of this one. */
export const bar = [
  { name: "now", url: "/", label: t("Now"), also: ["approvals", "approval"] },
  { name: "jobs", url: "/jobs", label: t("Jobs"), also: ["job"] },
  { name: "items", url: "/items", label: t("Items"), also: ["item", "customers", "customer"] },
  { name: "sales", url: "/sales", label: t("Sales"), also: ["sale"] },
  { name: "schedules", url: "/schedules", label: t("Schedules"), also: ["schedule"] },
];
