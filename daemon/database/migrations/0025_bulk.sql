-- oldest-program: 16
-- Lists that are read whole by a bulk operation. The lines of each file stand in a table of its own, bulk_lines_<id>, which
-- is made and dropped along with its row.

CREATE TABLE dongbo.bulk_reads (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       uuid        NOT NULL,  -- the job that reads it
    store        text        NOT NULL,
    stream       text        NOT NULL,
    digest       bytea       NOT NULL,  -- of the query: only the same one is continued
    identity     text        NOT NULL,  -- of the shop
    asked_at     timestamptz NOT NULL DEFAULT clock_timestamp(),  -- not later than Shopify was asked
    source_time  timestamptz,           -- likewise, by Shopify's clock
    beginning    jsonb       NOT NULL,  -- under which circumstances the pull began
    operation    text,                  -- of Shopify; NULL: not known yet
    next_byte    bigint      NOT NULL DEFAULT 0,  -- of the file; before it, all is in the table
    lines        bigint      NOT NULL DEFAULT 0,  -- of the file that are in the table
    nameless     integer     NOT NULL DEFAULT 0,  -- rows of which not even the id can be read
    is_sorted    boolean     NOT NULL DEFAULT false,  -- all of the file is there, was checked, and has its index
    touched_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX bulk_reads_by_job ON dongbo.bulk_reads (job_id);
CREATE INDEX bulk_reads_by_list ON dongbo.bulk_reads (store, stream);
