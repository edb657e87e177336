//! One run: a server, its connections, load, and the report.

use std::time::Duration;

use crate::LoadError;
use crate::dialect::{Dialect, PeerName};
use crate::fleet::Fleet;
use crate::load::Load;
use crate::process::{Place, Server};
use crate::report::{Moment, Report, Span};
use crate::scenario::Run;
use crate::trace::Trace;
use crate::{publish, stall, storm};

/// Of so many connections one is not counted as theirs: what the server allocates once comes with the first.
const FIRST: usize = 10;
/// A counter is attached within this time.
const ATTACHED: Duration = Duration::from_millis(300);

/// Which peer is measured, and where.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) peer: PeerName,
    pub(crate) round: u32,
    pub(crate) place: &'a Place,
    pub(crate) dialect: &'a dyn Dialect,
}

/// Measures one run of one peer.
pub(crate) fn measure<'a>(
    run: &'a Run,
    peer: PeerName,
    round: u32,
    place: &Place,
) -> Result<Report<'a>, LoadError> {
    let dialect = peer.dialect(run);
    let subject = Subject { peer, round, place, dialect: &*dialect };
    if run.http.is_some() {
        return publish::measure(run, subject);
    }
    if run.storm.is_some() {
        return storm::measure(run, subject);
    }
    if 0 < run.stalled {
        return stall::measure(run, subject);
    }
    fan_out(run, subject)
}

fn fan_out<'a>(run: &'a Run, subject: Subject<'_>) -> Result<Report<'a>, LoadError> {
    let Subject { peer, round, place, dialect } = subject;
    let server = Server::start(place, |port| dialect.launch(place, port))?;
    let mut fleet = Fleet::new(run, dialect, server.address)?;
    let first = run.connections / FIRST;
    fleet.open(first, |_| {})?;
    let before = server.usage().resident;
    fleet.open(run.connections, |_| {})?;
    let added = server.usage().resident.saturating_sub(before);
    let mut load = Load::new(run, dialect);
    let mut own_rate = None;
    if let Some(share) = run.load_share {
        let rate = share * capacity(run, &mut load, &server, &mut fleet)?;
        load.pace(None, Some(rate));
        own_rate = Some(rate);
    }
    load.go_on(&mut fleet, Duration::from_secs_f64(run.warm_up))?;
    load.reset();
    let seconds = Duration::from_secs_f64(run.seconds);
    let moment = Moment::now(&server);
    let trace =
        if run.calls { Trace::start(server.process(), seconds.saturating_sub(ATTACHED)) } else { None };
    load.go_on(&mut fleet, seconds)?;
    let span = Span::since(&moment, &server);
    let calls = trace.and_then(Trace::calls_per_s);
    let delivered = load.tally.delivered;
    let per_s = delivered as f64 / span.measured_s;
    let mut report = Report::new((peer, round), run, span, delivered, &load.tally.latency);
    load.drain(&mut fleet)?;
    if 0 < fleet.closed() {
        return Err(LoadError::Peer(format!("{} closed {} connections", peer.as_str(), fleet.closed())));
    }
    let each = added / (run.connections - first).max(1) as u64;
    report = report.resident_each(each).complete(&load);
    report = report.figure("own_rate", own_rate);
    Ok(report.figure("calls_per_delivery", calls.filter(|_| 0 < delivered).map(|calls| calls / per_s)))
}

/// Messages a second that the server's processor is good for when each is delivered by itself.
fn capacity(
    run: &Run,
    load: &mut Load<'_>,
    server: &Server,
    fleet: &mut Fleet<'_>,
) -> Result<f64, LoadError> {
    load.pace(Some(1), None);
    load.go_on(fleet, Duration::from_secs_f64(run.warm_up))?;
    load.reset();
    let moment = Moment::now(server);
    load.go_on(fleet, Duration::from_secs(1))?;
    let span = Span::since(&moment, server);
    let delivered = load.tally.delivered as f64;
    load.drain(fleet)?;
    Ok(delivered / (span.cpu_us / 1e6) / run.connections as f64)
}
