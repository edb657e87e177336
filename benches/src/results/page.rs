//! The page: what was measured where, whether the machine was quiet, and a table for each scenario.

use std::fmt::Write as _;

use serde_json::Value;

use crate::data::{Results, figure, median};
use crate::plot::{Curve, Series, bars, curves, lines};
use crate::targets;

/// As the load generator names them, and as a reader does.
const PEERS: [(&str, &str); 10] = [
    ("tidings", "**Tidings**"),
    ("limit-b", "limit B"),
    ("limit-b16", "limit B16"),
    ("limit-a", "limit A"),
    ("uws", "uWebSockets"),
    ("nats", "NATS"),
    ("nchan", "nchan"),
    ("sockudo", "Sockudo"),
    ("ws", "npm ws"),
    ("socket-io", "Socket.IO"),
];
const CPU: &str = "/cpu_us_per_delivery";
const P50: &str = "/latency_us/p50";
const P99: &str = "/latency_us/p99";
/// Windows of the fan-out.
const WINDOWS: [(&str, &str); 6] = [
    ("1", "fan-out W=1"),
    ("16", "fan-out W=16"),
    ("32", "fan-out W=32"),
    ("48", "fan-out W=48"),
    ("64", "fan-out W=64"),
    ("128", "fan-out W=128"),
];

/// A column: its heading, the run, and the figure.
type Column = (&'static str, &'static str, &'static str);

/// A scenario's table.
struct Table {
    title: &'static str,
    about: &'static str,
    columns: &'static [Column],
}

/// Benches of the core against size.
struct Scale {
    title: &'static str,
    picture: &'static str,
    about: &'static str,
    /// What a line is called, and criterion's group.
    groups: &'static [(&'static str, &'static str)],
}

const SCALES: [Scale; 3] = [
    Scale {
        title: "By subscriptions",
        picture: "subscriptions.svg",
        about: "ns to find the three subscriptions that an event matches, among so many that all have filters of \
                their own: of one key; of more keys; of one key under a tenant's grant.",
        groups: &[
            ("one key", "matching/one_key"),
            ("more keys", "matching/more_keys"),
            ("tenant", "matching/tenant"),
        ],
    },
    Scale {
        title: "By connections",
        picture: "connections.svg",
        about: "ns of a delivery in memory, without a socket: an event of 300 bytes is published and handed to so \
                many equal subscribers.",
        groups: &[("delivery", "scale/connections")],
    },
    Scale {
        title: "By bytes of an event",
        picture: "bytes.svg",
        about: "ns to publish an event to nobody, and of a delivery to 1,000 subscribers with its share of the \
                publish.",
        groups: &[("publish", "scale/publish_bytes"), ("delivery", "scale/delivery_bytes")],
    },
];

const TABLES: [Table; 8] = [
    Table {
        title: "Fan-out to more and to fewer",
        about: "µs of the server's processor for each delivery.",
        columns: &[
            ("N = 1, W = 1", "N=1 W=1", CPU),
            ("N = 10, W = 1", "N=10 W=1", CPU),
            ("N = 100, W = 1", "N=100 W=1", CPU),
            ("N = 5,000, W = 1", "N=5000 W=1", CPU),
            ("N = 1, W = 64", "N=1 W=64", CPU),
            ("N = 10, W = 64", "N=10 W=64", CPU),
            ("N = 100, W = 64", "N=100 W=64", CPU),
            ("N = 5,000, W = 64", "N=5000 W=64", CPU),
        ],
    },
    Table {
        title: "Latency",
        about: "An open loop to 1,000 subscribers: 60 events a second, and 30 % of what the peer's processor is \
                good for when each message is delivered by itself. µs from the moment an event was due.",
        columns: &[
            ("60/s: CPU a delivery", "rate 60/s", CPU),
            ("60/s: p50", "rate 60/s", P50),
            ("60/s: p99", "rate 60/s", P99),
            ("30 %: events/s", "30 % load", "/own_rate"),
            ("30 %: CPU a delivery", "30 % load", CPU),
            ("30 %: p50", "30 % load", P50),
            ("30 %: p99", "30 % load", P99),
        ],
    },
    Table {
        title: "System calls",
        about: "For each delivery to 1,000 subscribers, counted by `perf stat`.",
        columns: &[
            ("W = 1", "calls W=1", "/calls_per_delivery"),
            ("W = 64", "calls W=64", "/calls_per_delivery"),
        ],
    },
    Table {
        title: "Selective",
        about: "10,000 connections with 3 filters each, an event matches 3 of them. µs of processor a delivery. \
                Peers without filters are left out.",
        columns: &[("CPU a delivery", "selective", CPU)],
    },
    Table {
        title: "Idle",
        about: "10,000 connections, each with a subscription: resident bytes that each adds, and the share of one \
                processor that all of them cost at rest.",
        columns: &[
            ("bytes a connection", "idle", "/resident_bytes_per_connection"),
            ("processor", "idle", "/cpu_share"),
        ],
    },
    Table {
        title: "Connect storm",
        about: "5,000 connect and subscribe, at most 100 of them on their way at once; then all have gone and come \
                back to resume, at first having missed nothing, then having missed 100 events, which each of them \
                is sent. Seconds, and µs of processor a connection. Peers but Tidings know neither token nor \
                history. ES256 is what it costs to verify a signature; with HS256 nearly all is the kernel's and \
                the upgrade's, which come back with every connection.",
        columns: &[
            ("HS256: s", "storm HS256", "/first_s"),
            ("HS256: µs", "storm HS256", "/first_us_per_connection"),
            ("back: µs", "storm HS256", "/in_time_us_per_connection"),
            ("100 behind: s", "storm HS256", "/second_s"),
            ("100 behind: µs", "storm HS256", "/second_us_per_connection"),
            ("ES256: µs", "storm ES256", "/first_us_per_connection"),
            ("back: µs", "storm ES256", "/in_time_us_per_connection"),
            ("100 behind: µs", "storm ES256", "/second_us_per_connection"),
        ],
    },
    Table {
        title: "Slow consumers",
        about: "100 events a second of 4,000 bytes to 1,000 readers, of which 100 stall for 20 s and then read on. \
                p99 of the others in µs; bytes that the server grew by; a critical event (elsewhere: any event) to \
                a reader that is behind and begins to read, and to its idle neighbour, medians in µs; seconds \
                until all have caught up; connections that the server ended.",
        columns: &[
            ("p99 before", "slow consumers", "/p99_before_us"),
            ("stalled", "slow consumers", "/p99_stalled_us"),
            ("catching up", "slow consumers", "/p99_catching_up_us"),
            ("bytes", "slow consumers", "/resident_added"),
            ("to one behind", "slow consumers", "/critical_slow_us"),
            ("to an idle one", "slow consumers", "/critical_idle_us"),
            ("caught up, s", "slow consumers", "/caught_up_s"),
            ("ended", "slow consumers", "/closed"),
        ],
    },
    Table {
        title: "Publishing over HTTP",
        about: "Eight connections, nobody subscribes: events for each second of the server's processor.",
        columns: &[
            ("a connection each", "a connection each", "/events_per_cpu_s"),
            ("keep-alive", "keep-alive", "/events_per_cpu_s"),
            ("16 pipelined", "pipelined, 16 on their way", "/events_per_cpu_s"),
            ("batches of 100", "batches of 100", "/events_per_cpu_s"),
        ],
    },
];

/// What a reader of the README wants to know.
const SHORT: [Column; 4] = [
    ("µs a delivery, one at a time", "fan-out W=1", CPU),
    ("64 on their way", "fan-out W=64", CPU),
    ("latency at 60/s, p99 in µs", "rate 60/s", P99),
    ("bytes of an idle connection", "idle", "/resident_bytes_per_connection"),
];

/// The table of the README.
pub(crate) fn short(results: &Results) -> String {
    let mut out = String::new();
    peers(&mut out, results, &SHORT);
    out
}

/// The page as Markdown.
pub(crate) fn page(results: &Results) -> String {
    let mut out = "<!-- generated: make bench-peers -->\n\n# Results\n\n".to_owned();
    for kind in ["machine", "version", "command"] {
        for text in results.facts(kind) {
            let _ = writeln!(out, "- {text}");
        }
    }
    for text in results.facts("missing") {
        let _ = writeln!(out, "- not measured: {text}");
    }
    let _ = writeln!(
        out,
        "\nEvery figure is the median of {} rounds, in which all peers take turns; a server has one processor, \
         the load the other. Limit A is a bare loop that writes every message to every connection by itself, \
         limit B writes all that waits at once, B16 at most sixteen messages. uWebSockets, npm ws and Socket.IO \
         are the scripts in `peers/`: a broadcast without identity, subscription or history.",
        results.rounds().len()
    );
    quiet(&mut out, results);
    section(&mut out, "In short", "As the README has it.");
    out.push_str(&short(results));
    section(&mut out, "Targets", "As ratios within a round. Benches of the core run once.");
    let head = ["what", "must", "goal", "median", "rounds", "reaches"].map(str::to_owned);
    let rows: Vec<Vec<String>> = targets::rows(results).into_iter().map(Vec::from).collect();
    table(&mut out, &head, &rows);
    let about = "µs of the server's processor for each delivery of a 300-byte event to 1,000 subscribers, flat \
                 out with W messages in flight.\n\n![fan-out](results/fan-out.svg)";
    section(&mut out, "Fan-out", about);
    let columns: Vec<Column> = WINDOWS.iter().map(|(window, run)| (*window, *run, CPU)).collect();
    peers(&mut out, results, &columns);
    for Table { title, about, columns } in &TABLES {
        section(&mut out, title, about);
        if *title == "Idle" {
            out.push_str("![idle bytes](results/idle.svg)\n\n");
        }
        peers(&mut out, results, columns);
    }
    for scale in &SCALES {
        curve(&mut out, results, scale);
    }
    faults(&mut out, results);
    out
}

/// What the benches of the core cost by size.
fn curve(out: &mut String, results: &Results, Scale { title, picture, about, groups }: &Scale) {
    section(out, title, about);
    let curves: Vec<_> = groups.iter().map(|(name, group)| (*name, results.curve(group))).collect();
    let sizes: Vec<f64> =
        curves.first().into_iter().flat_map(|(_, points)| points).map(|(size, _)| *size).collect();
    if sizes.is_empty() {
        out.push_str("Not measured.\n");
        return;
    }
    let _ = writeln!(out, "![{title}](results/{picture})\n");
    let head: Vec<String> =
        ["".to_owned()].into_iter().chain(sizes.iter().map(|size| figure(*size))).collect();
    let row = |(name, points): &(&str, Vec<(f64, f64)>)| {
        let cost = |size: &f64| {
            let point = points.iter().find(|(at, _)| at == size);
            point.map_or_else(|| "–".to_owned(), |(_, cost)| figure(*cost))
        };
        [(*name).to_owned()].into_iter().chain(sizes.iter().map(cost)).collect()
    };
    table(out, &head, &curves.iter().map(row).collect::<Vec<_>>());
}

/// The pictures, by the names of their files.
pub(crate) fn plots(results: &Results) -> Vec<(&'static str, String)> {
    let name = |name: &str| name.trim_matches('*').to_owned();
    let fan_out: Vec<Series> = PEERS
        .iter()
        .map(|(peer, shown)| Series {
            name: name(shown),
            figures: WINDOWS.iter().map(|(_, run)| results.median(peer, run, CPU)).collect(),
        })
        .filter(|series| series.figures.iter().any(Option::is_some))
        .collect();
    let idle: Vec<(String, f64)> = PEERS
        .iter()
        .filter_map(|(peer, shown)| {
            let bytes = results.median(peer, "idle", "/resident_bytes_per_connection")?;
            Some((name(shown), bytes))
        })
        .collect();
    let mut plots = vec![
        (
            "fan-out.svg",
            lines(
                "CPU a delivery in µs, by messages in flight",
                &WINDOWS.map(|(window, _)| window),
                &fan_out,
            ),
        ),
        ("idle.svg", bars("Resident bytes of an idle connection", &idle)),
    ];
    plots.extend(SCALES.iter().filter_map(|Scale { title, picture, groups, .. }| {
        let curve = |(name, group): &(&'static str, &str)| Curve { name, points: results.curve(group) };
        let all: Vec<Curve> = groups.iter().map(curve).filter(|curve| !curve.points.is_empty()).collect();
        (!all.is_empty()).then(|| (*picture, curves(&format!("{title}, in ns"), &all)))
    }));
    plots
}

/// Whether anyone else had the machine, and how much the same work cost in each round.
fn quiet(out: &mut String, results: &Results) {
    let shares = |name: &str| -> Vec<f64> {
        results.runs().iter().filter_map(|run: &Value| run[name].as_f64()).collect()
    };
    let most = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max) * 100.0;
    let (others, steal) = (shares("others_share"), shares("steal_share"));
    let loud = others.iter().zip(&steal).filter(|(others, steal)| 0.1 < **others || 0.02 < **steal).count();
    let _ = writeln!(
        out,
        "\nQuiet: {} of {} runs had more than a tenth of the machine taken by others, or more than 2 % by other \
         machines on its host (median {} %, at most {} % and {} %).{}",
        loud,
        others.len(),
        figure(median(others.clone()).unwrap_or(0.0) * 100.0),
        figure(most(&others)),
        figure(most(&steal)),
        if 0 < loud { " **Not quiet: take the figures as signs only.**" } else { "" }
    );
    let calibration = results.each("limit-b", "fan-out W=64", CPU);
    if let Some(middle) = median(calibration.clone()) {
        let spread = calibration.iter().map(|cost| (cost / middle - 1.0).abs()).fold(0.0, f64::max) * 100.0;
        let each: Vec<_> = calibration.into_iter().map(figure).collect();
        let _ = writeln!(
            out,
            "\nThe same bare loop (limit B, W = 64) cost {} µs a delivery in the rounds, {} % from the median \
             at most.",
            each.join(", "),
            figure(spread)
        );
    }
}

fn section(out: &mut String, title: &str, about: &str) {
    let _ = write!(out, "\n## {title}\n\n{about}\n\n");
}

/// A row for each peer that has any of the figures.
fn peers(out: &mut String, results: &Results, columns: &[Column]) {
    let mut head = vec![String::new()];
    head.extend(columns.iter().map(|(heading, ..)| (*heading).to_owned()));
    let rows: Vec<Vec<String>> = PEERS
        .iter()
        .filter_map(|(peer, shown)| {
            let figures: Vec<Option<f64>> =
                columns.iter().map(|(_, run, pointer)| results.median(peer, run, pointer)).collect();
            figures.iter().any(Option::is_some).then(|| {
                let cells = figures.into_iter().map(|cell| cell.map_or_else(|| "–".to_owned(), figure));
                std::iter::once((*shown).to_owned()).chain(cells).collect()
            })
        })
        .collect();
    if rows.is_empty() {
        out.push_str("Not measured.\n");
    } else {
        table(out, &head, &rows);
    }
}

fn table(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    let _ = writeln!(out, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// Runs that failed, and runs in which not everything came as it should.
fn faults(out: &mut String, results: &Results) {
    let mut said = std::collections::BTreeMap::<String, u32>::new();
    for run in results.runs() {
        let (peer, name) =
            (run["peer"].as_str().unwrap_or_default(), run["name"].as_str().unwrap_or_default());
        if let Some(error) = run["error"].as_str() {
            *said.entry(format!("{peer}, {name}: {error}")).or_default() += 1;
        }
        for fault in ["lost", "repeated", "out_of_order"] {
            if run[fault].as_u64().is_some_and(|count| 0 < count) {
                *said.entry(format!("{peer}, {name}: {}", fault.replace('_', " "))).or_default() += 1;
            }
        }
    }
    section(
        out,
        "Faults",
        "Runs that failed or did not deliver everything once and in order, and how often.",
    );
    if said.is_empty() {
        out.push_str("None.\n");
    }
    for (text, count) in said {
        let _ = writeln!(out, "- {text} ({count})");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_was_not_measured_has_no_row() {
        let text = r#"{"fact":"missing","text":"Sockudo: no package"}
            {"peer":"tidings","name":"idle","round":1,"resident_bytes_per_connection":480}
            {"peer":"nats","name":"idle","round":1,"error":"nats-server: not found"}"#;
        let page = page(&Results::read(text));
        assert!(page.contains("| **Tidings** | 480 | – |"), "{page}");
        assert!(!page.contains("| NATS |"));
        assert!(page.contains("- not measured: Sockudo: no package"));
        assert!(page.contains("- nats, idle: nats-server: not found (1)"));
    }
}
