//! The hub's counters and gauges as Prometheus text.

use super::Hub;

pub(super) fn render(hub: &Hub) -> String {
    let (connections, given_up) = (hub.connections.len(), hub.stats.hubs_given_up);
    let panics = hub.stats.panics;
    format!(
        "tidings_connections {connections}\ntidings_panics_total {panics}\ntidings_hubs_given_up_total {given_up}\n"
    )
}
