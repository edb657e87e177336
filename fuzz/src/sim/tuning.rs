//! The configuration of a run's hubs: bounds so tight that they are met, and one that converges once the
//! faults have stopped.

use serde_json::json;
use tidings_core::Config;
use tidings_core::config::{ApiKeyConfig, GrantConfig, Secret};
use tidings_core::event::Priority;

use super::draw::Draw;
use super::scenario::{Fault, PerFault, Population};

/// The secrets that tokens are signed with; a key's number is its place.
pub(crate) const SECRETS: [&str; 2] =
    ["the first secret of the simulation, long enough", "the second secret of the simulation, also long"];
/// The API keys: all of it, and one that may publish a part.
pub(crate) const API_KEYS: [(&str, &str); 2] =
    [("backend", "an-api-key-of-full-trust"), ("metrics", "an-api-key-for-metrics-only")];

/// Origins of pages: the first may be allowed, else the second is, which is the server's own; the others never are.
pub(crate) const ORIGINS: [&str; 4] =
    ["https://panel.example", "http://sim", "https://elsewhere.example", "null"];

/// A configuration.
pub(crate) fn config(
    draw: &mut Draw<'_>,
    population: Population,
    faults: &PerFault<u32>,
    long: bool,
) -> Config {
    let mut config = Config::default();
    auth(&mut config, draw);
    bounds(&mut config, draw);
    times(&mut config, draw, long);
    config.limits.connections_per_user = config.limits.connections_per_user.max(together(population));
    counts(&mut config, draw, population, faults);
    if draw.chance(500) {
        config.origins = vec![ORIGINS[0].parse().expect("an origin")];
    }
    if draw.chance(200) {
        config.events.conflate.clear();
    }
    if draw.chance(300) {
        config.lanes.high = 1;
        config.lanes.low = 16;
    }
    config
}

fn auth(config: &mut Config, draw: &mut Draw<'_>) {
    let auth = &mut config.auth;
    auth.jwt_secret = Some(Secret::new(SECRETS[0]));
    auth.leeway_s = *draw.pick(&[0, 1, 30]);
    auth.cache_tokens = *draw.pick(&[0, 2, 10_000]);
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let filter = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
    let tenant = || filter(json!({"tenantId": "$claim.org"}));
    let mut role = |name: &str, grant: GrantConfig| auth.roles.insert(name.to_owned(), grant);
    role(
        "editor",
        GrantConfig {
            subscribe: texts(&["content.*"]),
            publish: texts(&["content.*"]),
            filter: tenant(),
            ..GrantConfig::default()
        },
    );
    role("viewer", GrantConfig { subscribe: texts(&["*"]), filter: tenant(), ..GrantConfig::default() });
    role(
        "ops",
        GrantConfig {
            subscribe: texts(&["system.*", "settings.updated"]),
            publish: texts(&["system.*", "analytics.*"]),
            max_priority: Priority::Critical,
            admin: true,
            ..GrantConfig::default()
        },
    );
    let [(backend, full), (metrics, narrow)] = API_KEYS;
    let mut all = ApiKeyConfig::new(Secret::new(full));
    all.name = Some(backend.to_owned());
    let mut part = ApiKeyConfig::new(Secret::new(narrow));
    part.name = Some(metrics.to_owned());
    part.publish = texts(&["analytics.*", "system.health_check"]);
    part.max_priority = Priority::Normal;
    part.filter = filter(json!({"tenantId": ["t0", "t1"]}));
    auth.api_keys = vec![all, part];
}

/// Bounds on bytes and counts, which must leave room for what one message takes.
fn bounds(config: &mut Config, draw: &mut Draw<'_>) {
    let limits = &mut config.limits;
    limits.lane_queue = *draw.pick(&[1, 2, 3, 4, 8, 16, 256]);
    limits.event_bytes = *draw.pick(&[4 * 1024, 64 * 1024]);
    limits.subscriptions = *draw.pick(&[2, 8, 128, 128]);
    limits.subscriptions_bytes = *draw.pick(&[512, 4 * 1024, 48 * 1024, 48 * 1024]);
    limits.message_bytes = limits.event_bytes.max(limits.subscriptions_bytes) + 2 * 1024;
    limits.unsent_bytes = *draw.pick(&[1024, 4 * 1024, 256 * 1024]);
    limits.recent = *draw.pick(&[0, 3, 200]);
    limits.recent_bytes = *draw.pick(&[256, 2 * 1024, 256 * 1024]);
    limits.catch_up_step = *draw.pick(&[16, 64, 1_024]);
    limits.search_step = *draw.pick(&[16, 64, 1_000]);
    limits.fragments = *draw.pick(&[1, 4, 128]);
    limits.messages_per_s = *draw.pick(&[5, 20, 100]);
    limits.messages_burst = *draw.pick(&[5, 20, 200]);
    let history = &mut config.history;
    history.events = *draw.pick(&[1, 2, 5, 20, 100, 100_000]);
    if draw.chance(300) {
        history.bytes = limits.event_bytes + usize::try_from(draw.scaled(0, 20_000)).unwrap_or(0);
    }
    history.age_ms = *draw.pick(&[1_000, 5_000, 60_000, 3_600_000, 3_600_000]);
    let dedup = &mut config.dedup;
    dedup.entries = *draw.pick(&[16, 100, 500_000]);
    dedup.window_ms = *draw.pick(&[0, 2_000, 300_000, 300_000]);
    let http = &mut config.http;
    http.body_bytes = limits.event_bytes * 4;
    http.batch = *draw.pick(&[4, 1_000]);
    http.page = *draw.pick(&[1, 10, 100]);
    http.page_max = http.page.max(*draw.pick(&[10, 1_000]));
}

/// Deadlines. A peer that answers each Ping is heard at least once an interval and a way there and back, so
/// the timeout leaves that, or nobody would stay connected.
fn times(config: &mut Config, draw: &mut Draw<'_>, long: bool) {
    let interval: u64 = if long { 30_000 } else { *draw.pick(&[300, 1_000, 5_000, 30_000, 30_000]) };
    config.heartbeat.interval_ms = interval;
    config.heartbeat.timeout_ms = interval + interval.max(*draw.pick(&[1_500, 5_000]));
    config.drain.spread_ms = *draw.pick(&[0, 500, 5_000]);
    config.drain.deadline_ms = config.drain.spread_ms + *draw.pick(&[0, 1_000, 10_000]);
    config.limits.handshake_ms = *draw.pick(&[2_000, 10_000]);
    config.limits.fragment_ms = *draw.pick(&[500, 10_000]);
    config.http.response_ms = *draw.pick(&[2_000, 30_000]);
    config.http.idle_ms = *draw.pick(&[2_000, 60_000]);
    config.http.head_ms = *draw.pick(&[2_000, 10_000]);
    config.http.body_ms = *draw.pick(&[2_000, 30_000]);
}

/// All may be one user's: those who stay must have room beside each other in the end.
fn together(population: Population) -> usize {
    usize::from(population.apps) + usize::from(population.readers)
}

/// Connections: enough for everyone who must have everything in the end, and not many more where limits are
/// to be hit.
fn counts(config: &mut Config, draw: &mut Draw<'_>, population: Population, faults: &PerFault<u32>) {
    if faults.of(Fault::Limits) == 0 {
        return;
    }
    // Answers so long, and so many of them at once, that they are more than may wait.
    if draw.chance(300) {
        (config.limits.recent, config.limits.recent_bytes) = (200, 256 * 1024);
        config.limits.messages_burst = 200;
    }
    let lasting = usize::from(population.apps) + usize::from(population.readers);
    let others = usize::from(population.publishers) + 3;
    let more = draw.index(8);
    config.limits.connections = lasting + others + more;
    config.limits.connections_per_user = together(population) + draw.index(3);
    config.limits.unauthenticated_per_address = 2 + draw.index(8);
}
