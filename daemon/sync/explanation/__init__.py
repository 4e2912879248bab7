"""Why Shopify says what it says of a variant."""
