// A table that a narrow screen shows as cards.

import { element, renew } from "./dom.js";

/**
 * `caption`: what it is a table of, for screen readers. `columns`: `{key, label, cell(row) → node or text, class}`; the
 * label stands over the column, and beside the value on a narrow screen. `key(row)` tells rows apart.
 *
 * The element has `show(rows)`, which leaves rows that are the same as before as they are.
 */
export function table({ caption, columns, rows = [], key = (row) => JSON.stringify(row), className = "" }) {
  const body = element("tbody", { role: "rowgroup" });
  const made = element(
    "table",
    { role: "table", class: `table ${className}`.trim() },
    element("caption", { class: "hidden-text" }, caption),
    element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, columns.map(head))),
    body,
  );
  made.show = (shown) => renew(body, shown, key, (row) => element("tr", { role: "row" }, columns.map((column) => cell(column, row))));
  made.show(rows);
  return made;
}

const head = (column) => element("th", { role: "columnheader", scope: "col", class: column.class ?? null }, column.label);

function cell(column, row) {
  const content = column.cell(row);
  const isEmpty = content === null || content === undefined || content === "";
  const attributes = { role: "cell", "data-label": column.label, class: column.class ?? null, "data-empty": isEmpty };
  return element("td", attributes, content);
}
