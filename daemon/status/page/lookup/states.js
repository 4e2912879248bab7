// How a row of Shopify stands to those of Nhanh.vn, in words.

import { t } from "../words.js";

export const itemStates = () => [
  ["mapped", t("mapped")],
  ["unmatched", t("not mapped")],
  ["ambiguous", t("ambiguous")],
  ["excluded", t("no counterpart")],
  ["retired", t("was mapped before")],
  ["nhanh_only", t("only at Nhanh.vn")],
];

export const customerStates = () => itemStates().filter(([state]) => state !== "retired");
