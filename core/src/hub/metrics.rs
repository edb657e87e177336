//! The hub's counters and gauges as Prometheus text (exposition format 0.0.4). One table names every metric
//! and says where its samples come from: what is exposed and what the README lists are both read from it.

use std::fmt::{Display, Write as _};

use super::Hub;
use super::shared::State;
use crate::event::Priority;
use crate::lanes::Waiting;
use crate::protocol::{CloseCode, ErrorCode, PerLane};
use crate::stats::{Histogram, Metric, MetricKind};

/// A metric with the place that its samples come from.
struct Family {
    metric: Metric,
    read: fn(&Hub, &mut Samples<'_>),
}

/// Every metric, in the order in which it is exposed.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    TABLE.iter().map(|family| &family.metric)
}

/// All metrics of the hub as text. It takes time by the number of event types, not of connections.
pub(super) fn render(hub: &Hub) -> String {
    let mut out = String::new();
    for Family { metric, read } in TABLE {
        let Metric { name, kind, help, .. } = metric;
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        read(hub, &mut Samples { metric, out: &mut out });
    }
    out
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Hub, &mut Samples<'_>),
) -> Family {
    Family { metric: Metric { name, kind: MetricKind::Counter, help, labels }, read }
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Hub, &mut Samples<'_>),
) -> Family {
    Family { metric: Metric { name, kind: MetricKind::Gauge, help, labels }, read }
}

const fn histogram(name: &'static str, help: &'static str, read: fn(&Hub, &mut Samples<'_>)) -> Family {
    Family { metric: Metric { name, kind: MetricKind::Histogram, help, labels: &[] }, read }
}

const LANE: &[&str] = &["lane"];
const TYPE_AND_LANE: &[&str] = &["type", "lane"];

const TABLE: &[Family] = &[
    gauge("tidings_build_info", &["version"], "Always 1; the label says which version runs.", |_, out| {
        out.with(&[env!("CARGO_PKG_VERSION")], 1);
    }),
    gauge("tidings_ready", &[], "1 while the log is loaded and the instance does not drain.", |hub, out| {
        out.one(u8::from(hub.is_ready()));
    }),
    // Connections
    gauge("tidings_connections", &["state"], "Connections by what they do at the moment.", |hub, out| {
        for state in State::ALL {
            out.with(&[state.as_str()], hub.connections.in_state(state));
        }
    }),
    counter("tidings_connections_accepted_total", &[], "Connections accepted.", |hub, out| {
        out.one(hub.stats.accepted);
    }),
    gauge("tidings_users", &[], "Users with at least one connection.", |hub, out| {
        out.one(hub.users.len());
    }),
    counter(
        "tidings_refusals_total",
        &["reason"],
        "Connections, handshakes and requests refused, by the first rule that they broke.",
        |hub, out| {
            for (reason, count) in &hub.stats.refused {
                out.with(&[reason], count);
            }
        },
    ),
    counter("tidings_closes_total", &["code"], "Close frames sent and streams ended.", |hub, out| {
        for code in CloseCode::ALL {
            let count = hub.stats.closed.get(&code).copied().unwrap_or(0);
            out.with(&[&code.as_u16().to_string()], count);
        }
    }),
    counter("tidings_errors_total", &["code"], "Errors answered to clients and publishers.", |hub, out| {
        for code in ErrorCode::ALL {
            let count = hub.stats.errors.get(code.as_str()).copied().unwrap_or(0);
            out.with(&[code.as_str()], count);
        }
    }),
    counter("tidings_http_responses_total", &["status"], "HTTP responses, upgrades apart.", |hub, out| {
        for (status, count) in &hub.stats.responses {
            out.with(&[&status.to_string()], count);
        }
    }),
    counter("tidings_received_bytes_total", &[], "Bytes received from sockets.", |hub, out| {
        out.one(hub.stats.bytes_received);
    }),
    counter("tidings_sent_bytes_total", &[], "Bytes that the kernel took.", |hub, out| {
        out.one(hub.stats.bytes_sent);
    }),
    counter("tidings_heartbeats_total", &[], "Heartbeats sent.", |hub, out| {
        out.one(hub.stats.heartbeats);
    }),
    counter("tidings_token_cache_hits_total", &[], "Tokens remembered from an earlier use.", |hub, out| {
        out.one(hub.auth.cache_hits());
    }),
    counter("tidings_token_cache_misses_total", &[], "Tokens whose signature was verified.", |hub, out| {
        out.one(hub.auth.cache_misses());
    }),
    // Subscriptions
    gauge("tidings_subscriptions", &[], "Subscriptions of all connections.", |hub, out| {
        out.one(hub.subscribed);
    }),
    gauge("tidings_subscription_definitions", &[], "Different subscriptions among them.", |hub, out| {
        out.one(hub.index.definitions());
    }),
    counter(
        "tidings_definitions_examined_total",
        &[],
        "Definitions that events were held against, live and catching up, whether they matched or not.",
        |hub, out| out.one(hub.index.work() + hub.lanes.work()),
    ),
    // Events
    counter("tidings_events_published_total", TYPE_AND_LANE, "Events that the log took.", |hub, out| {
        out.by_type(hub, &hub.stats.published);
    }),
    counter(
        "tidings_events_delivered_total",
        TYPE_AND_LANE,
        "Events handed to the kernel, once for each connection.",
        |hub, out| out.by_type(hub, &hub.stats.delivered),
    ),
    counter("tidings_publish_duplicates_total", &[], "Events published again.", |hub, out| {
        out.one(hub.stats.duplicates);
    }),
    gauge("tidings_appends_pending", &[], "Events that the log has yet to take.", |hub, out| {
        out.one(hub.appends.len());
    }),
    gauge("tidings_dedup_keys", &[], "Event ids remembered for deduplication.", |hub, out| {
        out.one(hub.dedup.len());
    }),
    // Lanes
    gauge("tidings_events_queued", LANE, "Events queued for connections.", |hub, out| {
        out.waiting(hub, |waiting| waiting.queued);
    }),
    gauge(
        "tidings_lanes_catching_up",
        LANE,
        "Lanes of connections that are refilled from history.",
        |hub, out| out.waiting(hub, |waiting| waiting.behind),
    ),
    gauge(
        "tidings_catch_up_entries",
        LANE,
        "Entries of history that those lanes have yet to look at, whether they match or not.",
        |hub, out| out.waiting(hub, |waiting| waiting.catch_up),
    ),
    gauge(
        "tidings_slow_consumers",
        &[],
        "Connections of which a lane is refilled from history, since they are slow or resume.",
        |hub, out| out.one(hub.lanes.slow()),
    ),
    counter(
        "tidings_lane_overflows_total",
        &[],
        "Times that a lane's queue was full and the lane fell back on history.",
        |hub, out| out.one(hub.lanes.overflows()),
    ),
    counter(
        "tidings_events_conflated_total",
        &[],
        "Events left out because a newer one of the same key waited behind them.",
        |hub, out| out.one(hub.lanes.conflated()),
    ),
    counter("tidings_gaps_total", &["reason"], "Gaps told to clients.", |hub, out| {
        out.with(&["expired"], hub.stats.gaps_expired);
        out.with(&["epoch"], hub.stats.gaps_epoch);
    }),
    counter(
        "tidings_resumes_total",
        &["recovered"],
        "Resumes, by whether history covered them.",
        |hub, out| {
            let recovered = hub.stats.resumes_recovered;
            out.with(&["true"], recovered);
            out.with(&["false"], hub.stats.resumes - recovered);
        },
    ),
    // History
    gauge("tidings_log_offset", &[], "Newest offset of the log.", |hub, out| out.one(hub.history.end())),
    gauge("tidings_history_events", LANE, "Events in history.", |hub, out| {
        for lane in Priority::ALL {
            out.with(&[lane.as_str()], hub.history.lane(lane).events());
        }
    }),
    gauge("tidings_history_bytes", LANE, "Memory that they take.", |hub, out| {
        for lane in Priority::ALL {
            out.with(&[lane.as_str()], hub.history.lane(lane).bytes());
        }
    }),
    gauge("tidings_history_oldest_age_seconds", LANE, "Age of the oldest event in history.", |hub, out| {
        for lane in Priority::ALL {
            let window = hub.history.lane(lane);
            if let Some(oldest) = window.get(window.first()) {
                let age = hub.now.instant.since(oldest.appended);
                out.with(&[lane.as_str()], seconds(u64::try_from(age.as_micros()).unwrap_or(u64::MAX)));
            }
        }
    }),
    // The process
    histogram(
        "tidings_delivery_latency_seconds",
        "From a publish being accepted to the turn in which the kernel took the event.",
        |hub, out| out.histogram(&hub.stats.latency),
    ),
    histogram("tidings_loop_turn_seconds", "How long the turns of the loop took.", |hub, out| {
        out.histogram(&hub.stats.turns);
    }),
    counter("tidings_panics_total", &[], "Panics while parsing; each cost one connection.", |hub, out| {
        out.one(hub.stats.panics);
    }),
    counter(
        "tidings_hubs_given_up_total",
        &[],
        "Hubs that panicked and were replaced; each cost all connections.",
        |hub, out| out.one(hub.stats.hubs_given_up),
    ),
];

/// Where the samples of one metric go.
struct Samples<'a> {
    metric: &'static Metric,
    out: &'a mut String,
}

impl Samples<'_> {
    /// The sample of a metric without labels.
    fn one(&mut self, value: impl Display) {
        self.with(&[], value);
    }

    /// The sample with these values of the metric's labels.
    fn with(&mut self, values: &[&str], value: impl Display) {
        debug_assert_eq!(self.metric.labels.len(), values.len(), "a value for every label");
        let labels: Vec<(&str, &str)> =
            self.metric.labels.iter().copied().zip(values.iter().copied()).collect();
        self.line("", &labels, value);
    }

    /// The counts of events: the types and lanes that there were any of.
    fn by_type(&mut self, hub: &Hub, counts: &[PerLane<u64>]) {
        for ((_, name, _), lanes) in hub.catalog.iter().zip(counts) {
            for (lane, count) in lanes.iter().filter(|(_, count)| 0 < **count) {
                self.with(&[name, lane.as_str()], count);
            }
        }
    }

    /// Of what waits for connections, by lane.
    fn waiting(&mut self, hub: &Hub, count: fn(&Waiting) -> u64) {
        for (lane, waiting) in hub.lanes.waiting(&hub.history).iter() {
            self.with(&[lane.as_str()], count(waiting));
        }
    }

    fn histogram(&mut self, histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), seconds);
            self.line("_bucket", &[("le", &bound)], count);
        }
        self.line("_sum", &[], seconds(histogram.sum_us()));
        self.line("_count", &[], histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.out, "{}{suffix}{labels} {value}", self.metric.name);
    }
}

/// The value of a label as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::config::{Config, Secret};
    use crate::protocol::ConnId;
    use crate::{Input, Listener, Now, Output, Peer, Sequencer, UnixTime};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW_S: i64 = 1_790_000_000;

    /// A hub with an embedded log, whose sockets take everything at once.
    struct Server {
        hub: Hub,
        log: Sequencer,
        now: Now,
        sent: BTreeMap<usize, Vec<u8>>,
    }

    impl Server {
        fn new() -> Self {
            let now = Now { unix: UnixTime::from_secs(NOW_S), ..Now::default() };
            let mut config = Config::default();
            config.auth.jwt_secret = Some(Secret::new(SECRET));
            let hub = Hub::new(config, [7; 32], now).unwrap();
            let log = Sequencer::new([8; 32]);
            let mut server = Self { hub, log, now, sent: BTreeMap::new() };
            let (epoch, begin) = (server.log.epoch().clone(), server.log.end());
            server.input(Input::LogOpened { epoch, begin });
            server.input(Input::LogLoaded);
            server
        }

        fn input(&mut self, input: Input<'_>) {
            self.now.instant = self.now.instant + Duration::from_micros(100);
            self.hub.handle(self.now, input);
            while let Some(output) = self.hub.poll_output() {
                match output {
                    Output::Transmit(conn) => self.write(conn),
                    Output::Append { request, record } => {
                        let offset = self.log.next().unwrap();
                        self.hub.handle(self.now, Input::Appended { offset, record });
                        self.hub.handle(self.now, Input::AppendResult { request, result: Ok(offset) });
                    }
                    _ => {}
                }
            }
        }

        fn write(&mut self, conn: ConnId) {
            while let Some(transmit) = self.hub.poll_transmit(conn, 65_536) {
                let bytes = transmit.slices().concat();
                self.sent.entry(conn.slot()).or_default().extend_from_slice(&bytes);
                transmit.commit(bytes.len());
            }
        }

        fn connect(&mut self, slot: u32) -> ConnId {
            let conn = ConnId::new(slot, 1);
            let peer = Peer { address: [127, 0, 0, 1].into(), listener: Listener::All };
            self.input(Input::Accepted { conn, peer });
            conn
        }

        fn request(&mut self, conn: ConnId, line: &str, fields: &str) {
            let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            self.input(Input::Received { conn, bytes: head.as_bytes() });
        }

        fn websocket(&mut self, slot: u32) -> ConnId {
            let conn = self.connect(slot);
            let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            self.request(conn, "GET /ws", &format!("{upgrade}Authorization: Bearer {}\r\n", token()));
            conn
        }

        fn stream(&mut self, slot: u32, fields: &str) -> ConnId {
            let conn = self.connect(slot);
            self.request(conn, "GET /v1/stream", &format!("Authorization: Bearer {}\r\n{fields}", token()));
            conn
        }

        /// A text frame whose mask changes nothing.
        fn say(&mut self, conn: ConnId, text: &str) {
            let len = u8::try_from(text.len()).ok().filter(|len| *len < 126).unwrap();
            let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat();
            self.input(Input::Received { conn, bytes: &frame });
        }

        fn publish(&mut self) {
            let data = json!({"userId": "u", "timestamp": "2026-01-01T00:00:00Z"});
            let event = json!({"type": "user.login", "data": data}).to_string();
            let request = crate::RequestId(1);
            self.input(Input::Publish { request, publisher: "test", event: &event });
        }

        fn exposed(&self) -> Exposed {
            Exposed::parse(&render(&self.hub))
        }
    }

    fn token() -> String {
        use jsonwebtoken::{EncodingKey, Header, encode};
        let claims = json!({"sub": "u1", "exp": NOW_S + 3600});
        encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    }

    type Labels = BTreeMap<String, String>;

    /// What a scraper reads: by family its kind and its samples (suffix, labels, value), and the values as
    /// they are written by name and labels.
    #[derive(Debug, Default)]
    struct Exposed {
        kinds: BTreeMap<String, String>,
        samples: BTreeMap<String, String>,
        families: BTreeMap<String, Vec<(String, Labels, f64)>>,
    }

    impl Exposed {
        /// Reads the text strictly: HELP, TYPE, then the samples of the same family and of no other.
        fn parse(text: &str) -> Self {
            assert!(text.ends_with('\n'), "the last line ends, too");
            let mut exposed = Self::default();
            let (mut family, mut helped) = (String::new(), String::new());
            for line in text.lines() {
                if let Some(help) = line.strip_prefix("# HELP ") {
                    let (name, help) = help.split_once(' ').unwrap();
                    assert!(!help.is_empty() && is_name(name, true), "{line}");
                    name.clone_into(&mut helped);
                } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                    let (name, kind) = kind.split_once(' ').unwrap();
                    assert_eq!(name, helped, "HELP comes right before TYPE");
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                    assert!(exposed.kinds.insert(name.into(), kind.into()).is_none(), "{name} stands once");
                    exposed.families.insert(name.into(), Vec::new());
                    name.clone_into(&mut family);
                } else {
                    exposed.add(&family, line);
                }
            }
            exposed
        }

        fn add(&mut self, family: &str, line: &str) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                None => (series, Labels::new()),
                Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').unwrap())),
            };
            let suffixes: &[&str] = match self.kinds[family].as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let suffix = name.strip_prefix(family).unwrap_or("none");
            assert!(suffixes.contains(&suffix) && is_name(name, true), "{line} under {family}");
            assert!(self.samples.insert(series.into(), value.into()).is_none(), "{series} stands once");
            self.families.get_mut(family).unwrap().push((suffix.into(), labels, value.parse().unwrap()));
        }

        fn get(&self, series: &str) -> &str {
            self.samples.get(series).unwrap_or_else(|| panic!("no {series} in {:#?}", self.samples))
        }
    }

    fn is_name(name: &str, colon: bool) -> bool {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' && colon;
        name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty()
    }

    fn read_labels(mut text: &str) -> Labels {
        let mut labels = Labels::new();
        while !text.is_empty() {
            let (name, rest) = text.split_once("=\"").unwrap();
            assert!(is_name(name, false) && !name.starts_with("__"), "{name}");
            let mut value = String::new();
            let mut chars = rest.chars();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} is no escape"),
                    },
                    c => value.push(c),
                }
            }
            assert!(labels.insert(name.into(), value).is_none(), "{name} stands once");
            text = chars.as_str();
            text = text.strip_prefix(',').unwrap_or(text);
        }
        labels
    }

    /// A server that has seen something of everything.
    fn busy() -> Server {
        let mut server = Server::new();
        let socket = server.websocket(0);
        server.say(socket, r#"{"type":"subscribe","id":"a","events":["user.*"]}"#);
        server.say(socket, r#"{"type":"subscribe","id":"b","events":["user.*"]}"#);
        server.say(socket, r#"{"type":"nonsense"}"#);
        server.stream(1, "");
        server.connect(2);
        server.publish();
        server.input(Input::TurnTook(Duration::from_micros(120)));
        let bad = server.connect(3);
        server.request(bad, "GET /v1/events", "");
        server
    }

    #[test]
    fn a_scraper_reads_every_metric_of_the_table_and_nothing_else() {
        let exposed = busy().exposed();
        let named: Vec<(&str, &str)> = metrics().map(|metric| (metric.name, metric.kind.as_str())).collect();
        let read: BTreeSet<(&str, &str)> = exposed.kinds.iter().map(|(n, k)| (&**n, &**k)).collect();
        assert_eq!(named.iter().copied().collect::<BTreeSet<_>>(), read);
        assert_eq!(named.len(), read.len(), "a name stands once");
        for metric in metrics() {
            for (suffix, labels, _) in &exposed.families[metric.name] {
                let mut expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
                expected.extend((suffix == "_bucket").then_some("le"));
                let names: BTreeSet<&str> = labels.keys().map(String::as_str).collect();
                assert_eq!(names, expected, "{}", metric.name);
            }
        }
    }

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        for Metric { name, kind, help, .. } in metrics() {
            assert!(name.starts_with("tidings_") && is_name(name, false), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert!(*kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}");
        }
    }

    #[test]
    fn buckets_are_cumulative_and_the_last_has_all() {
        let mut server = busy();
        for micros in [10, 60, 20_000_000] {
            server.input(Input::TurnTook(Duration::from_micros(micros)));
        }
        let exposed = server.exposed();
        for metric in metrics().filter(|metric| metric.kind == MetricKind::Histogram) {
            let mut last = (-1.0, -1.0);
            for (suffix, labels, count) in &exposed.families[metric.name] {
                if suffix == "_bucket" {
                    let bound: f64 = labels["le"].replace('+', "").parse().unwrap();
                    assert!(last.0 < bound && last.1 <= *count, "{} {labels:?}", metric.name);
                    last = (bound, *count);
                }
            }
            let all: f64 = exposed.get(&format!("{}_count", metric.name)).parse().unwrap();
            assert_eq!(last, (f64::INFINITY, all));
        }
        assert_eq!(exposed.get("tidings_loop_turn_seconds_bucket{le=\"0.0001\"}"), "2");
        assert_eq!(exposed.get("tidings_loop_turn_seconds_sum"), "20.00019");
    }

    #[test]
    fn what_happened_is_counted() {
        let exposed = busy().exposed();
        for (series, value) in [
            ("tidings_ready", "1"),
            ("tidings_connections{state=\"websocket\"}", "1"),
            ("tidings_connections{state=\"sse\"}", "1"),
            ("tidings_connections{state=\"http\"}", "2"),
            ("tidings_connections{state=\"closing\"}", "0"),
            ("tidings_connections_accepted_total", "4"),
            ("tidings_users", "1"),
            ("tidings_subscriptions", "3"),
            ("tidings_subscription_definitions", "2"),
            ("tidings_events_published_total{type=\"user.login\",lane=\"normal\"}", "1"),
            ("tidings_events_delivered_total{type=\"user.login\",lane=\"normal\"}", "2"),
            ("tidings_delivery_latency_seconds_count", "2"),
            ("tidings_errors_total{code=\"unknown_type\"}", "1"),
            ("tidings_refusals_total{reason=\"missing\"}", "1"),
            ("tidings_http_responses_total{status=\"401\"}", "1"),
            ("tidings_token_cache_hits_total", "1"),
            ("tidings_token_cache_misses_total", "1"),
            ("tidings_log_offset", "1"),
            ("tidings_history_events{lane=\"normal\"}", "1"),
            ("tidings_dedup_keys", "1"),
        ] {
            assert_eq!(exposed.get(series), value, "{series}");
        }
        let absent = "tidings_events_published_total{type=\"user.logout\",lane=\"normal\"}";
        assert!(!exposed.samples.contains_key(absent), "types that never came have no series");
    }

    #[test]
    fn gauges_of_connections_fall_back_to_zero_with_the_last_one() {
        let mut server = busy();
        server.input(Input::Ended { conn: ConnId::new(1, 1) });
        server.input(Input::Closed { conn: ConnId::new(2, 1) });
        server.input(Input::Closed { conn: ConnId::new(3, 1) });
        // A Close frame is answered, and then nothing is left to wait for.
        server.input(Input::Received { conn: ConnId::new(0, 1), bytes: &[0x88, 0x80, 0, 0, 0, 0] });
        let exposed = server.exposed();
        for series in exposed.samples.keys().filter(|name| name.starts_with("tidings_connections{")) {
            assert_eq!(exposed.get(series), "0", "{series}");
        }
        for name in ["users", "subscriptions", "subscription_definitions", "events_queued{lane=\"normal\"}"] {
            assert_eq!(exposed.get(&format!("tidings_{name}")), "0", "{name}");
        }
    }

    #[test]
    fn the_census_of_states_is_what_a_look_at_every_connection_finds() {
        let mut server = busy();
        let refused = server.connect(4);
        server.request(refused, "GET /ws", "Connection: Upgrade\r\nUpgrade: nothing\r\nOrigin: null\r\n");
        server.hub.close(ConnId::new(0, 1), CloseCode::Disconnected);
        let hub = &server.hub;
        let phases: Vec<State> = hub
            .connections
            .ids()
            .filter_map(|conn| hub.connections.get(conn))
            .map(|connection| State::of(&connection.phase))
            .collect();
        for state in State::ALL {
            let found = phases.iter().filter(|phase| **phase == state).count();
            assert_eq!(hub.connections.in_state(state), found, "{state:?}");
        }
        assert_eq!(hub.connections.in_state(State::Closing), 2);
    }

    #[test]
    fn the_resume_of_a_stream_counts_as_one() {
        let mut server = busy();
        let position = format!("{}.1.1.1.1", server.log.epoch().as_str());
        server.stream(5, &format!("Last-Event-ID: {position}\r\n"));
        server.stream(6, "Last-Event-ID: other.1.1.1.1\r\n");
        let exposed = server.exposed();
        assert_eq!(exposed.get("tidings_resumes_total{recovered=\"true\"}"), "1");
        assert_eq!(exposed.get("tidings_resumes_total{recovered=\"false\"}"), "1");
        assert_eq!(exposed.get("tidings_gaps_total{reason=\"epoch\"}"), "4");
    }

    #[test]
    fn a_local_scraper_gets_the_text_over_http() {
        let mut server = Server::new();
        let conn = server.connect(0);
        server.request(conn, "GET /metrics", "");
        let response = String::from_utf8(server.sent.remove(&0).unwrap()).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        assert_eq!(Exposed::parse(body).get("tidings_ready"), "1");
    }

    #[test]
    fn any_text_may_stand_in_a_label() {
        let text = "a\"b\\c\nd,e=\"f\"}";
        assert_eq!(read_labels(&format!("x=\"{}\"", escaped(text)))["x"], text);
    }

    #[test]
    fn seconds_are_exact() {
        let written = [0, 50, 1_000_000, 2_500_000, 10_000_000].map(seconds);
        assert_eq!(written, ["0", "0.00005", "1", "2.5", "10"]);
        assert_eq!(seconds(u64::MAX), "18446744073709.551615");
    }
}
