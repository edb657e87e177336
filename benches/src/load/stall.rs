//! Slow consumers: some connections stop to read for a while and then read on. What the others notice, what it
//! costs in memory, how long a critical event takes to one that is behind, and when all have caught up.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::LoadError;
use crate::fleet::Fleet;
use crate::load::Load;
use crate::process::Server;
use crate::report::{Moment, Report, Span, micros};
use crate::run::Subject;
use crate::scenario::{Lane, Run};

/// Critical events measured, each to another reader that is behind.
const PROBES: usize = 15;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(30);

pub(crate) fn measure<'a>(run: &'a Run, subject: Subject<'_>) -> Result<Report<'a>, LoadError> {
    let Subject { peer, round, place, dialect } = subject;
    let server = Server::start(place, |port| dialect.launch(place, port))?;
    let mut fleet = Fleet::new(run, dialect, server.address)?;
    fleet.open(run.connections, |_| {})?;
    let mut load = Load::new(run, dialect);
    let seconds = Duration::from_secs_f64(run.seconds);
    load.go_on(&mut fleet, Duration::from_secs_f64(run.warm_up))?;
    load.reset();
    load.go_on(&mut fleet, seconds)?;
    let before = load.tally.latency.clone();
    let slow: Vec<usize> = (0..run.connections).filter(|connection| run.stalls(*connection)).collect();

    slow.iter().for_each(|connection| fleet.hold(*connection, true));
    load.reset();
    let moment = Moment::now(&server);
    let resident = server.usage().resident;
    load.go_on(&mut fleet, Duration::from_secs_f64(run.stall_s))?;
    let span = Span::since(&moment, &server);
    let added = span.resident_bytes.saturating_sub(resident);
    let (during, delivered) = (load.tally.latency.clone(), load.tally.delivered);
    let behind = load.sent();

    let probes = probe(&mut load, &mut fleet, &slow)?;
    load.reset();
    load.pace(run.window, run.rate);
    let (caught_up, all) = catch_up(&mut load, &mut fleet, &slow, behind)?;
    let after = load.tally.latency.clone();
    load.drain(&mut fleet)?;
    let p99 = |latency: &Histogram<u64>| micros(latency.value_at_quantile(0.99));
    Ok(Report::new((peer, round), run, span, delivered, &during)
        .complete(&load)
        .figure("p99_before_us", p99(&before))
        .figure("p99_stalled_us", p99(&during))
        .figure("p99_catching_up_us", p99(&after))
        .figure("resident_added", added as f64)
        .figure("caught_up_s", all.then_some(caught_up.as_secs_f64()))
        .figure("critical_slow_us", probes.slow)
        .figure("critical_idle_us", probes.idle)
        .figure("closed", fleet.closed() as f64))
}

/// Medians.
struct Probes {
    slow: Option<f64>,
    idle: Option<f64>,
}

/// One after another, readers that are behind begin to read as a critical event is published; it is timed to
/// each and to a neighbour that was idle.
fn probe(load: &mut Load<'_>, fleet: &mut Fleet<'_>, slow: &[usize]) -> Result<Probes, LoadError> {
    let (mut to_slow, mut to_idle) = (Vec::new(), Vec::new());
    // What the others are owed is not to be in the way.
    load.receive(fleet, Duration::from_millis(200))?;
    for &reader in slow.iter().take(PROBES) {
        let began = Instant::now();
        let number = load.urge(fleet, Lane::Critical);
        fleet.hold(reader, false);
        let (mut slow, mut idle) = (None, None);
        while (slow.is_none() || idle.is_none()) && began.elapsed() < PATIENCE {
            load.receive(fleet, Duration::from_millis(1))?;
            let at = began.elapsed();
            let had = |connection| load.tally.has(connection, Lane::Critical, number).then_some(at);
            slow = slow.or_else(|| had(reader));
            idle = idle.or_else(|| had(reader + 1));
        }
        to_slow.extend(slow);
        to_idle.extend(idle);
        fleet.hold(reader, true);
    }
    Ok(Probes { slow: median(to_slow), idle: median(to_idle) })
}

fn median(mut times: Vec<Duration>) -> Option<f64> {
    times.sort_unstable();
    times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1e6)
}

/// All read again while the load goes on: how long until each has what was published before, and whether all have.
fn catch_up(
    load: &mut Load<'_>,
    fleet: &mut Fleet<'_>,
    slow: &[usize],
    behind: usize,
) -> Result<(Duration, bool), LoadError> {
    let began = Instant::now();
    slow.iter().for_each(|connection| fleet.hold(*connection, false));
    let newest = behind.saturating_sub(1);
    loop {
        load.go_on(fleet, Duration::from_millis(5))?;
        let all = slow.iter().all(|connection| load.tally.has(*connection, Lane::Normal, newest));
        if all || CATCH_UP < began.elapsed() {
            return Ok((began.elapsed(), all));
        }
    }
}
