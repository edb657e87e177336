//! The hub's counters and gauges as Prometheus text.

use super::Hub;

pub(super) fn render(hub: &Hub) -> String {
    format!("tidings_connections {}\n", hub.connections.len())
}
