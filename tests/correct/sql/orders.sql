select id, placed_at, total from orders
