"""The queue hands each pending job to exactly one worker. Only this package knows PgQueuer.

    driver      PgQueuer's settings and statements, on the process's one pool
    places      a job's place in the queue: given, taken away, looked at
    recovery    the worker's name, and the places of jobs that have lost theirs
    worker      takes jobs and hands them to the runner, through any loss of the database

A job's row in `background_jobs` is the truth; its row in PgQueuer's table is only its place in the queue, written in
the same transaction. Where the two differ (PgQueuer deletes its row when a task is cancelled, for example), recovery
restores the place.
"""
