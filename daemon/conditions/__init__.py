"""Whether the shop is right: facts, the streams against their schedules, what is wrong since when, and a verdict."""
