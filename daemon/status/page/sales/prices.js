// Prices of variants.

import { element } from "../dom.js";
import { money } from "../words.js";

/** A price, and the one that is crossed out beside it. */
export function prices(price, compareAt) {
  if (price === null || price === undefined) return "–";
  const crossedOut = compareAt === null || compareAt === undefined ? [] : [" ", element("s", { class: "quiet" }, money(compareAt))];
  return element("span", {}, money(price), crossedOut);
}

/** A variant by its SKU and title. */
export const variant = (item) => element("div", {}, element("span", { class: "strong block" }, item.sku ?? String(item.variant_id)), element("small", {}, item.title ?? ""));
