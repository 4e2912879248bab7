-- Data in every table of the schema that 0004_sales.sql leaves, as the program of that time wrote it.

INSERT INTO dongbo.background_jobs (
    id, store, type, lane, status, trigger, schedule, fire_time, params, total, processed, successful, created, updated,
    skipped, failed, metadata, checkpoint, attempt, max_attempts, not_before, run_token, worker, error, started_at,
    completed_at, parent_id
) VALUES
    ('00000000-0000-7000-8000-000000000001', 'main', 'RUN_PRODUCTS', 'main/chains', 'COMPLETED', 'schedule', 'products',
        '2026-01-01 00:00Z', '{"full": false}', 3, 3, 2, 1, 1, 1, 0, '{"steps": []}', NULL, 1, 3, NULL, NULL, 'shop',
        NULL, '2026-01-01 00:00:01Z', '2026-01-01 00:01Z', NULL),
    ('00000000-0000-7000-8000-000000000002', 'main', 'SYNC_PRODUCTS', 'main/sync', 'COMPLETED', 'schedule', 'products',
        NULL, '{}', 3, 3, 1, 0, 1, 1, 1, '{"pages": 1}', '{"after": 7}', 1, 3, NULL, NULL, 'shop',
        NULL, '2026-01-01 00:00:02Z', '2026-01-01 00:00:59Z', '00000000-0000-7000-8000-000000000001'),
    ('00000000-0000-7000-8000-000000000003', 'main', 'SYNC_PRODUCTS', 'main/sync', 'AWAITING_APPROVAL', 'api', NULL,
        NULL, '{"dry_run": false}', 3, 0, 0, 0, 0, 0, 0, '{}', NULL, 1, 3, NULL, NULL, 'shop',
        '1 of 1 items would be set to zero', '2026-01-01 00:02Z', NULL, NULL),
    ('00000000-0000-7000-8000-000000000004', 'main', 'PULL_NHANH_PRODUCTS', 'main/nhanh', 'RUNNING', 'cli', NULL,
        NULL, '{"full": true}', NULL, 1, 1, 1, 0, 0, 0, '{}', '{"page": 2}', 1, 3, NULL,
        '00000000-0000-4000-8000-000000000004', 'shop', NULL, '2026-01-01 00:03Z', NULL, NULL),
    ('00000000-0000-7000-8000-000000000005', 'main', 'PULL_SHOPIFY_CUSTOMERS', 'main/shopify-customers', 'PENDING',
        'retry', NULL, NULL, '{}', NULL, 0, 0, 0, 0, 0, 0, '{}', NULL, 1, 3, '2026-01-01 00:05Z', NULL, NULL,
        'no answer', NULL, NULL, NULL),
    ('00000000-0000-7000-8000-000000000006', 'other', 'PULL_NHANH_CUSTOMERS', 'other/nhanh', 'FAILED', 'api', NULL,
        NULL, '{}', NULL, 0, 0, 0, 0, 0, 0, '{}', NULL, 3, 3, NULL, NULL, 'shop', 'the token is refused',
        '2026-01-01 00:06Z', '2026-01-01 00:07Z', NULL),
    ('00000000-0000-7000-8000-000000000007', 'main', 'NOOP', 'noop', 'CANCELLED', 'api', NULL,
        NULL, '{}', NULL, 0, 0, 0, 0, 0, 0, '{}', NULL, 0, 3, NULL, NULL, NULL, NULL, NULL, '2026-01-01 00:08Z', NULL);

INSERT INTO dongbo.job_failures (job_id, source_id, reason, payload, payload_truncated, resolved_at) VALUES
    ('00000000-0000-7000-8000-000000000002', '11', 'a price of "x"', '{"id": 11}', false, '2026-01-01 01:00Z'),
    ('00000000-0000-7000-8000-000000000002', NULL, 'no id', E'{"name": "\\u0000"}', true, NULL);
INSERT INTO dongbo.approval_items (job_id, kind, owner_id, location_id, old_value, new_value)
VALUES ('00000000-0000-7000-8000-000000000003', 'stock', 21, 31, '5', '0');
INSERT INTO dongbo.schedule_fires (store, schedule, fire_time, job_id, outcome, worker)
VALUES ('main', 'products', '2026-01-01 00:00Z', '00000000-0000-7000-8000-000000000001', 'submitted', 'shop');
INSERT INTO dongbo.schedule_states (store, schedule, paused, paused_at, timetable)
VALUES ('main', 'products', true, '2026-01-02 00:00Z', '*/15 * * * * Asia/Ho_Chi_Minh');

INSERT INTO dongbo.nhanh_customers (store, id, type, name, mobile, points, total_amount, source_updated_at, document, digest)
VALUES ('main', 41, 1, 'Nguyễn Thị Ánh', '0912345678', 12, 1500000, '2026-01-01 00:00Z', '{"id": 41}', '\x01');
INSERT INTO dongbo.nhanh_products (
    store, id, parent_id, code, barcode, name, status, retail_price, document, digest, sku_key, barcode_key, stock_known
) VALUES ('main', 11, 0, 'ÁO-01', '893000000001', 'Áo dài ĐỎ', 1, 250000, '{"id": 11}', '\x02', 'áo-01', '893000000001', true);
INSERT INTO dongbo.nhanh_inventory (
    store, product_id, depot_id, remain, available, holding, shipping, damaged, transferring, deleted_at
) VALUES ('main', 11, 51, 5, 4.5, 0.5, 0, 0, 0, NULL), ('main', 11, 52, 0, 0, 0, 0, 0, 0, '2026-01-01 00:00Z');
INSERT INTO dongbo.nhanh_depots (store, id, name, hidden_at) VALUES ('main', 51, 'Kho 1', NULL);
INSERT INTO dongbo.shopify_customers (
    store, id, display_name, phone, tags, amount_spent, currency, number_of_orders, document, digest, pushed_at, metafields
) VALUES (
    'main', 61, 'Anh Nguyen', '+84912345678', '{vip,"hai chữ"}', 1500000, 'VND', 3, '{"id": 61}', '\x03', '2026-01-01 00:00Z',
    '{"custom.total_spent": {"type": "number_integer", "value": "1500000"}}'
);
INSERT INTO dongbo.shopify_products (store, id, handle, title, status, vendor, product_type, tags, source_updated_at, document, digest)
VALUES ('main', 71, 'ao-dai', 'Áo dài', 'ACTIVE', 'Dệt', 'Áo', '{sale}', '2026-01-01 00:00Z', '{"isGiftCard": true}', '\x04');
INSERT INTO dongbo.shopify_variants (
    store, id, product_id, inventory_item_id, sku, barcode, title, position, price, compare_at_price, inventory_quantity,
    document, digest, sku_key, barcode_key, pushed_at, tracked
) VALUES ('main', 21, 71, 81, 'ÁO-01', '893000000001', 'Đỏ', 1, 250000, 300000, 5, '{}', '\x05', 'áo-01', '893000000001', NULL, true);
INSERT INTO dongbo.shopify_locations (store, id, name, is_active) VALUES ('main', 31, 'Hà Nội', true);
INSERT INTO dongbo.shopify_inventory_levels (store, inventory_item_id, location_id, variant_id, available, pushed_at)
VALUES ('main', 81, 31, 21, 5, '2026-01-01 00:00Z');
INSERT INTO dongbo.watermarks (store, stream, complete_to, rows_at_last_full_pull, full_pull_at)
VALUES ('main', 'nhanh_products', '2026-01-01 00:00Z', 1, '2026-01-01 00:00Z');
INSERT INTO dongbo.deletion_candidates (store, stream, source_id) VALUES ('main', 'nhanh_products', 12);

INSERT INTO dongbo.product_mappings (store, variant_id, nhanh_id, source, note, retired_at, retired_reason, returns) VALUES
    ('main', 21, 11, 'sku', NULL, NULL, NULL, false),
    ('main', 22, 11, 'manual', 'a pack of it', '2026-01-01 00:00Z', 'the variant is gone', true),
    ('main', 23, NULL, 'manual', NULL, NULL, NULL, false);
INSERT INTO dongbo.match_conflicts (store, kind, key, nhanh_ids, shopify_ids) VALUES ('main', 'barcode', '893', '{11,12}', '{21}');
INSERT INTO dongbo.customer_phones (store, side, customer_id, phone, origin) VALUES ('main', 'nhanh', 41, '+84912345678', 'phone');
INSERT INTO dongbo.customer_phone_states (store, side, customer_id, state) VALUES ('main', 'nhanh', 41, '\x06');
INSERT INTO dongbo.customer_mappings (store, nhanh_id, shopify_id, source, phone, retired_at, retired_reason) VALUES
    ('main', 41, 61, 'phone', '+84912345678', NULL, NULL),
    ('main', 42, 61, 'note', '+84912345679', '2026-01-01 00:00Z', 'another has the number');
INSERT INTO dongbo.pushes (store, job_id, kind, owner_id, item_id, location_id, old_value, new_value, reason, call_key, result, settled_at) VALUES
    ('main', '00000000-0000-7000-8000-000000000002', 'stock', 21, 81, 31, '4', '5', 'Nhanh.vn has 5', '00000000-0000-4000-8000-000000000001', 'applied', '2026-01-01 00:00:30Z'),
    ('main', '00000000-0000-7000-8000-000000000002', 'price', 21, NULL, NULL, '1', '2', 'Nhanh.vn says 2', '00000000-0000-4000-8000-000000000002', 'intended', NULL);

INSERT INTO dongbo.sale_campaigns (id, store, name, origin, state, definition, starts_at, ends_at, variants, started_at)
VALUES ('00000000-0000-7000-8000-0000000000a1', 'main', 'tet', 'cli', 'ACTIVE', '{"percent": 20}', '2026-01-01 00:00Z', '2026-02-01 00:00Z', 1, '2026-01-01 00:00Z');
INSERT INTO dongbo.sale_events (campaign_id, state, detail) VALUES ('00000000-0000-7000-8000-0000000000a1', 'ACTIVE', '1 price changed');
INSERT INTO dongbo.sale_items (
    campaign_id, variant_id, product_id, store, sku, title, state, held, before_price, base_price, sale_price, applied_at
) VALUES (
    '00000000-0000-7000-8000-0000000000a1', 21, 71, 'main', 'ÁO-01', 'Áo dài', 'APPLIED', '[2026-01-01 00:00Z,2026-02-01 00:00Z)',
    250000, 250000, 200000, '2026-01-01 00:00Z'
);
INSERT INTO dongbo.sale_writes (
    campaign_id, store, variant_id, action, old_price, new_price, job_id, run_token, result, settled_at
) VALUES (
    '00000000-0000-7000-8000-0000000000a1', 'main', 21, 'apply', 250000, 200000, '00000000-0000-7000-8000-000000000002',
    '00000000-0000-4000-8000-000000000009', 'applied', '2026-01-01 00:00Z'
);
INSERT INTO dongbo.shopify_collections (store, reference, id, title, read_at) VALUES ('main', 'tet', 91, 'Tết', '2026-01-01 00:00Z');
INSERT INTO dongbo.shopify_collection_products (store, reference, product_id) VALUES ('main', 'tet', 71);

INSERT INTO dongbo.pgqueuer (priority, created, updated, heartbeat, execute_after, status, entrypoint, payload)
VALUES (0, now(), now(), now(), now(), 'queued', 'main/shopify-customers', convert_to('00000000-0000-7000-8000-000000000005', 'UTF8'));
INSERT INTO dongbo.pgqueuer_log (job_id, status, priority, entrypoint) VALUES (1, 'successful', 0, 'main/sync');
INSERT INTO dongbo.pgqueuer_schedules (expression, entrypoint, next_run) VALUES ('0 3 * * *', 'none', now());
INSERT INTO dongbo.pgqueuer_statistics (count, priority, status, entrypoint) VALUES (1, 0, 'successful', 'main/sync');
