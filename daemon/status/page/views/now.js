// The first view: is the shop right?

import { element, setText } from "../dom.js";
import { status } from "../status.js";
import { t } from "../words.js";

export default {
  name: "now",
  path: /^\/$/,
  title: () => t("Now"),
  async open(root) {
    const verdict = element("h1");
    const detail = element("p");
    root.append(element("div", { class: "verdict" }, verdict, detail));
    const show = (answer) => {
      const failing = answer.checks.filter((check) => !check.ok);
      setText(verdict, answer.ready ? t("The daemon is ready.") : t("The daemon is not ready."));
      setText(detail, failing.map((check) => `${check.name}: ${check.detail}`).join(". "));
    };
    if (status()) show(status());
    return { onStatus: show };
  },
};
