"""`dongbo sale`: the commands in the order of its help; what they do is in `queries` and `actions`."""

from daemon.cli.context import Commands
from daemon.cli.sales import actions, queries
from daemon.cli.sales.options import SaleCommand

app = Commands()

app.command("create", cls=SaleCommand)(actions.create)
app.command("list")(queries.list_campaigns)
app.command("show")(queries.show)
app.command("preview", cls=SaleCommand)(queries.preview)
app.command("apply")(actions.apply)
app.command("revert")(actions.revert)
app.command("cancel")(actions.cancel)
app.command("resume")(actions.resume)
app.command("report")(queries.report)
