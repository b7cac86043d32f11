//! Functions as destination, over the local Lambda API.

mod handlers;
mod trigger;
