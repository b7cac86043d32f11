//! Services as destinations.

mod http;
