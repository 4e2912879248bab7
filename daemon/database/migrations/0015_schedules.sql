-- What people ask of schedules (how their last runs went, what happened in the last day) and choose from in forms.

-- The runs of a schedule, newest first; steps of a chain bear its schedule, too, and are none of its runs.
CREATE INDEX background_jobs_of_schedule ON dongbo.background_jobs (store, schedule, id DESC)
    WHERE schedule IS NOT NULL AND parent_id IS NULL;

-- Vendors, types and tags of the products that are there, and of how many products: kept by every statement that changes
-- products, for to count them anew takes a second in a large shop.
CREATE TABLE dongbo.product_choices (
    store    text   NOT NULL,
    kind     text   NOT NULL CHECK (kind IN ('vendor', 'type', 'tag')),
    value    text   NOT NULL,
    searched text   NOT NULL GENERATED ALWAYS AS (dongbo.folded(value)) STORED,
    products bigint NOT NULL,
    PRIMARY KEY (store, kind, value)
);

CREATE FUNCTION dongbo.choices_of(vendor text, product_type text, tags text[])
RETURNS TABLE (kind text, value text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT kind, value FROM (
        VALUES ('vendor', vendor), ('type', product_type)
        UNION SELECT 'tag', tag FROM unnest(tags) AS tag
    ) AS choice (kind, value)
    WHERE value <> ''
$$;

-- Only what differs is written, in one order, so that transactions wait for each other rather than fail.
CREATE FUNCTION dongbo.count_choices() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO dongbo.product_choices AS known (store, kind, value, products)
        SELECT product.store, choice.kind, choice.value, count(*)
        FROM now_there AS product, dongbo.choices_of(vendor, product_type, tags) AS choice
        WHERE deleted_at IS NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (store, kind, value) DO UPDATE SET products = known.products + excluded.products;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO dongbo.product_choices AS known (store, kind, value, products)
        SELECT store, kind, value, sum(difference) FROM (
            SELECT product.store, choice.kind, choice.value, 1 AS difference
            FROM now_there AS product, dongbo.choices_of(vendor, product_type, tags) AS choice WHERE deleted_at IS NULL
            UNION ALL
            SELECT product.store, choice.kind, choice.value, -1
            FROM was_there AS product, dongbo.choices_of(vendor, product_type, tags) AS choice WHERE deleted_at IS NULL
        ) AS change
        GROUP BY 1, 2, 3 HAVING sum(difference) <> 0 ORDER BY 1, 2, 3
        ON CONFLICT (store, kind, value) DO UPDATE SET products = known.products + excluded.products;
    ELSE
        INSERT INTO dongbo.product_choices AS known (store, kind, value, products)
        SELECT product.store, choice.kind, choice.value, -count(*)
        FROM was_there AS product, dongbo.choices_of(vendor, product_type, tags) AS choice
        WHERE deleted_at IS NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (store, kind, value) DO UPDATE SET products = known.products + excluded.products;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER count_choices_of_new AFTER INSERT ON dongbo.shopify_products
    REFERENCING NEW TABLE AS now_there FOR EACH STATEMENT EXECUTE FUNCTION dongbo.count_choices();
CREATE TRIGGER count_choices_of_changed AFTER UPDATE ON dongbo.shopify_products
    REFERENCING OLD TABLE AS was_there NEW TABLE AS now_there FOR EACH STATEMENT EXECUTE FUNCTION dongbo.count_choices();
CREATE TRIGGER count_choices_of_gone AFTER DELETE ON dongbo.shopify_products
    REFERENCING OLD TABLE AS was_there FOR EACH STATEMENT EXECUTE FUNCTION dongbo.count_choices();

INSERT INTO dongbo.product_choices (store, kind, value, products)
SELECT product.store, choice.kind, choice.value, count(*)
FROM dongbo.shopify_products AS product, dongbo.choices_of(vendor, product_type, tags) AS choice
WHERE deleted_at IS NULL GROUP BY 1, 2, 3;
