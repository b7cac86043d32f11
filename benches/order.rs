//! The records of all benches.

use serde_json::json;

/// An order as a shop would publish it, of 1 KB.
pub(crate) fn order(n: u64) -> String {
    let items: Vec<_> = (0..6)
        .map(|i| {
            json!({
                "sku": format!("SKU-{:06}", (n * 7 + i) % 999_983), "quantity": 1 + (n + i) % 5,
                "unit_price": 999 + i * 250, "currency": "EUR", "gift": (n + i).is_multiple_of(3), "note": null,
            })
        })
        .collect();
    let mut order = json!({
        "id": format!("order-{n:09}"), "customer": {"id": n % 10_007, "name": "Grace Hopper", "country": "DE"},
        "status": "placed", "created_at": "2026-11-01T06:00:00Z", "items": items, "total": 12_345.67, "comment": "",
    });
    let missing = 1024_usize.saturating_sub(order.to_string().len());
    order["comment"] = "x".repeat(missing).into();
    order.to_string()
}
